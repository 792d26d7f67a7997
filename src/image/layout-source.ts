import { createReadStream, createWriteStream } from 'node:fs';
import { open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { CoracleError, notFound } from '../errors.ts';
import { indexTar, type TarEntry } from './tar-index.ts';
import { detectCompression } from './unpack.ts';

/** The files of an image archive or of an OCI layout directory, by relative name. */
export interface LayoutSource {
  /** For messages. */
  readonly path: string;
  has(name: string): Promise<boolean>;
  /** Throws NotFound, or FailedPrecondition where the file has more than `limit` bytes. */
  read(name: string, limit: number): Promise<Buffer>;
  /** Throws NotFound. */
  stream(name: string): Promise<AsyncIterable<Uint8Array>>;
  /** Removes what opening it has made. */
  close(): Promise<void>;
}

/**
 * Opens a directory or a tar, gzipped or not. A compressed one is first written to `scratch`, since
 * its members are wanted in another order than they come in.
 */
export async function openLayout(
  path: string,
  scratch: string,
  signal: AbortSignal,
): Promise<LayoutSource> {
  const status = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') throw notFound('file', path);
    throw error;
  });
  if (status.isDirectory()) return new DirectorySource(path);
  const compression = await detectCompression(path);
  if (compression === 'zstd') {
    throw new CoracleError('Unimplemented', `${path}: archives in zstd are not supported`);
  }
  if (compression === 'none') return new TarSource(path, path, await indexTar(path));
  try {
    const plain = createWriteStream(scratch, { flags: 'wx', mode: 0o600 });
    await pipeline(createReadStream(path), createGunzip(), plain, { signal });
    return new TarSource(path, scratch, await indexTar(scratch));
  } catch (error) {
    await rm(scratch, { force: true });
    if (error instanceof CoracleError || signal.aborted) throw error;
    throw new CoracleError('DataLoss', `${path} cannot be decompressed`, { cause: error });
  }
}

class DirectorySource implements LayoutSource {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  async has(name: string): Promise<boolean> {
    const [directory = '', base = ''] = split(name);
    const names = await readdir(join(this.path, directory)).catch(() => [] as string[]);
    return names.includes(base);
  }

  async read(name: string, limit: number): Promise<Buffer> {
    return collect(await this.stream(name), limit, `${this.path}/${name}`);
  }

  async stream(name: string): Promise<AsyncIterable<Uint8Array>> {
    if (name.split('/').includes('..')) throw notFound('file', `${this.path}/${name}`);
    const file = await open(join(this.path, name), 'r').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') throw notFound('file', `${this.path}/${name}`);
      throw error;
    });
    return file.createReadStream();
  }

  async close(): Promise<void> {}
}

class TarSource implements LayoutSource {
  readonly path: string;
  readonly #file: string;
  readonly #members: Map<string, TarEntry>;

  constructor(path: string, file: string, members: Map<string, TarEntry>) {
    this.path = path;
    this.#file = file;
    this.#members = members;
  }

  async has(name: string): Promise<boolean> {
    return this.#find(name) !== undefined;
  }

  async read(name: string, limit: number): Promise<Buffer> {
    return collect(await this.stream(name), limit, `${this.path}: ${name}`);
  }

  async stream(name: string): Promise<AsyncIterable<Uint8Array>> {
    const member = this.#find(name);
    if (member === undefined) throw notFound(`member of ${this.path}`, name);
    if (member.size === 0) return (async function* () {})();
    const { offset, size } = member;
    return createReadStream(this.#file, {
      start: offset,
      end: offset + size - 1,
      highWaterMark: 256 << 10,
    });
  }

  async close(): Promise<void> {
    if (this.#file !== this.path) await rm(this.#file, { force: true });
  }

  #find(name: string): TarEntry | undefined {
    let member = this.#members.get(name);
    for (let links = 0; member?.link !== undefined; links += 1) {
      if (links === 8) return undefined;
      member = this.#members.get(member.link);
    }
    return member;
  }
}

function split(name: string): [string, string] {
  const slash = name.lastIndexOf('/');
  return [name.slice(0, Math.max(slash, 0)), name.slice(slash + 1)];
}

async function collect(
  source: AsyncIterable<Uint8Array>,
  limit: number,
  what: string,
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of source) {
    size += chunk.byteLength;
    if (size > limit) {
      throw new CoracleError('FailedPrecondition', `${what} has more than ${limit} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
