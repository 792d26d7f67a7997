import { createHash, randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, rm, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { CoracleError, notFound, throwIfAborted } from '../errors.ts';
import { type Digest, hexOf, isDigest } from './digest.ts';

export interface ExpectedBlob {
  digest?: Digest | undefined;
  /** Bytes; exact. */
  size?: number | undefined;
  /** Bytes; at most. */
  limit?: number | undefined;
  /** What the blob is, for messages: "layer of docker.io/library/busybox". */
  what: string;
}

/**
 * Blobs by digest: `blobs/sha256/<hex>` below a root directory. A blob is written in `ingest/`,
 * checked while it streams, made durable, and only then renamed to its name: what is under a name
 * is whole.
 */
export class ContentStore {
  readonly #blobs: string;
  readonly #ingest: string;

  private constructor(root: string) {
    this.#blobs = join(root, 'blobs', 'sha256');
    this.#ingest = join(root, 'ingest');
  }

  /** Creates the directories and throws away what a crash left half written. */
  static async open(root: string): Promise<ContentStore> {
    const store = new ContentStore(root);
    await rm(store.#ingest, { recursive: true, force: true });
    await mkdir(store.#ingest, { recursive: true, mode: 0o700 });
    await mkdir(store.#blobs, { recursive: true, mode: 0o700 });
    return store;
  }

  path(digest: Digest): string {
    return join(this.#blobs, hexOf(digest));
  }

  /** A name in `ingest/` for a file that the caller removes; a crash removes it at the next open. */
  scratchPath(): string {
    return join(this.#ingest, randomUUID());
  }

  /** Bytes, or undefined where there is no such blob. */
  async size(digest: Digest): Promise<number | undefined> {
    try {
      return (await stat(this.path(digest))).size;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** Reads a small blob and checks it. Throws NotFound, DataLoss, or FailedPrecondition by size. */
  async read(digest: Digest, limit: number): Promise<Buffer> {
    let file: FileHandle;
    try {
      file = await open(this.path(digest), 'r');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw notFound('blob', digest);
      throw error;
    }
    try {
      const { size } = await file.stat();
      if (size > limit) throw tooLarge(`blob ${digest}`, limit);
      const bytes = await file.readFile();
      if (createHash('sha256').update(bytes).digest('hex') !== hexOf(digest)) {
        throw new CoracleError('DataLoss', `blob ${digest} has changed on disk`);
      }
      return bytes;
    } finally {
      await file.close();
    }
  }

  /**
   * Stores a stream and returns its digest and size. Nothing is left of a stream that fails, is too
   * long or short, or has another digest (DataLoss), or whose signal fires.
   */
  async ingest(
    source: AsyncIterable<Uint8Array>,
    expected: ExpectedBlob,
    options: {
      signal?: AbortSignal;
      onBytes?: (count: number) => void;
      /** Called with a digest that was not known before, while there is no blob of it yet. */
      beforeCommit?: (digest: Digest) => void;
    } = {},
  ): Promise<{ digest: Digest; size: number }> {
    const scratch = this.scratchPath();
    const limit = expected.size ?? expected.limit ?? Number.POSITIVE_INFINITY;
    const hash = createHash('sha256');
    let size = 0;
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
    const file = await open(scratch, flags, 0o600);
    try {
      try {
        for await (const chunk of source) {
          throwIfAborted(options.signal);
          size += chunk.byteLength;
          if (size > limit) throw tooLarge(expected.what, limit);
          hash.update(chunk);
          for (let at = 0; at < chunk.byteLength; ) {
            at += (await file.write(chunk, at)).bytesWritten;
          }
          options.onBytes?.(chunk.byteLength);
        }
        throwIfAborted(options.signal);
        await file.datasync();
      } finally {
        await file.close();
      }
      const digest: Digest = `sha256:${hash.digest('hex')}`;
      if (expected.digest !== undefined && digest !== expected.digest) {
        throw new CoracleError(
          'DataLoss',
          `${expected.what}: its digest is ${digest}, not ${expected.digest}`,
        );
      }
      if (expected.size !== undefined && size !== expected.size) {
        throw new CoracleError(
          'DataLoss',
          `${expected.what}: ${size} bytes came, not ${expected.size}`,
        );
      }
      options.beforeCommit?.(digest);
      await rename(scratch, this.path(digest));
      await syncDirectory(this.#blobs);
      return { digest, size };
    } catch (error) {
      await rm(scratch, { force: true });
      throw error;
    }
  }

  /** The digests of all blobs. */
  async list(): Promise<Digest[]> {
    const names = await readdir(this.#blobs);
    return names.map((name) => `sha256:${name}` as Digest).filter(isDigest);
  }

  /** A blob that is absent is no error. */
  async remove(digest: Digest): Promise<void> {
    try {
      await unlink(this.path(digest));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
}

export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function tooLarge(what: string, limit: number): CoracleError {
  return new CoracleError('FailedPrecondition', `${what} has more than ${limit} bytes`);
}
