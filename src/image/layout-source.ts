import { constants, createReadStream } from 'node:fs';
import { open, readdir, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CoracleError, messageOf, notFound, quote, throwIfAborted } from '../errors.ts';
import type { Addon, LayerSource, NativeError } from '../native/types.ts';
import { indexTar, type TarEntry } from './tar-index.ts';
import { detectCompression } from './unpack.ts';

/** A compressed archive is written out plain; it gets that much, and leaves a tenth of the disk. */
const MAX_PLAIN_BYTES = 256 * 2 ** 30;
const MAX_DISK_SHARE = 0.9;
/** What stat(2) says of a path that leads nowhere, by itself. */
const NO_PATH = new Set(['ENOTDIR', 'ENAMETOOLONG', 'ELOOP']);
/** Bytes that are read at once. */
const HIGH_WATER = 256 << 10;

/** The files of an image archive or of an OCI layout directory, by relative name. */
export interface LayoutSource {
  /** For messages. */
  readonly path: string;
  has(name: string): Promise<boolean>;
  /** Throws NotFound, or FailedPrecondition where the file has more than `limit` bytes. */
  read(name: string, limit: number): Promise<Buffer>;
  /** Opens the file when it is first read from; throws NotFound then. To be read once. */
  stream(name: string): AsyncIterable<Uint8Array>;
  /** Removes what opening it has made. */
  close(): Promise<void>;
}

/**
 * Opens a directory or a tar, plain or compressed with gzip or zstd. A compressed one is first
 * written to `scratch`, since its members are wanted in another order than they come in. Throws
 * NotFound, InvalidArgument for what is no file, DataLoss for a damaged one, ResourceExhausted where
 * it does not fit.
 */
export async function openLayout(
  native: Pick<Addon, 'decompressFile'>,
  path: string,
  scratch: string,
  signal: AbortSignal,
): Promise<LayoutSource> {
  const status = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') throw notFound('file', path);
    if (!NO_PATH.has(error.code ?? '')) throw error;
    throw new CoracleError('InvalidArgument', `${quote(path)} is no path here: ${error.code}`);
  });
  if (status.isDirectory()) return new DirectorySource(path);
  // A pipe has no second pass, and opening one waits for its writer.
  if (!status.isFile()) throw notAFile(path);
  // As files of procfs are, to read which may wait for ever, and take what others wait for.
  if (status.size === 0) throw new CoracleError('InvalidArgument', `${path} is empty`);
  const compression = await detectCompression(path);
  if (compression === 'none') return new TarSource(path, path, await indexTar(path));
  try {
    await decompress(native, { blob: path, compression }, scratch, signal);
    return new TarSource(path, scratch, await indexTar(scratch, path));
  } catch (error) {
    await rm(scratch, { force: true });
    throw error;
  }
}

async function decompress(
  native: Pick<Addon, 'decompressFile'>,
  source: LayerSource,
  target: string,
  signal: AbortSignal,
): Promise<void> {
  const disk = await statfs(dirname(target));
  const room = Math.floor(disk.bavail * disk.bsize * MAX_DISK_SHARE);
  const maxBytes = BigInt(Math.min(MAX_PLAIN_BYTES, room));
  try {
    await native.decompressFile({ ...source, target, maxBytes }, signal);
  } catch (error) {
    throwIfAborted(signal);
    const { code, errno } = error as Partial<NativeError>;
    const full =
      code === 'ENOSPC' || code === 'EDQUOT' || (code === 'EFBIG' && room < MAX_PLAIN_BYTES);
    throw new CoracleError(
      full ? 'ResourceExhausted' : errno === 0 || code === 'EFBIG' ? 'DataLoss' : 'Internal',
      `${source.blob} cannot be decompressed: ${messageOf(error)}`,
      full ? { cause: error, reason: 'DiskFull' } : { cause: error },
    );
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
    return collect(this.stream(name), limit, `${this.path}/${name}`);
  }

  async *stream(name: string): AsyncGenerator<Uint8Array> {
    if (name.split('/').includes('..')) throw notFound('file', `${this.path}/${name}`);
    // Not to wait for the writer of a named pipe.
    const flags = constants.O_RDONLY | constants.O_NONBLOCK;
    const file = await open(join(this.path, name), flags).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') throw notFound('file', `${this.path}/${name}`);
      throw error;
    });
    if (!(await file.stat()).isFile()) {
      await file.close();
      throw notAFile(`${this.path}/${name}`);
    }
    yield* file.createReadStream({ highWaterMark: HIGH_WATER });
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
    return collect(this.stream(name), limit, `${this.path}: ${name}`);
  }

  async *stream(name: string): AsyncGenerator<Uint8Array> {
    const member = this.#find(name);
    if (member === undefined) throw notFound(`member of ${this.path}`, name);
    if (member.size === 0) return;
    const { offset, size } = member;
    const range = { start: offset, end: offset + size - 1 };
    yield* createReadStream(this.#file, { ...range, highWaterMark: HIGH_WATER });
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

function notAFile(path: string): CoracleError {
  return new CoracleError('InvalidArgument', `${path} is neither a file nor a directory`);
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
