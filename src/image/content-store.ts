import { createHash, randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, stat, unlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { CoracleError, notFound } from '../errors.ts';
import { failpoint } from '../failpoint.ts';
import { type Digest, hexOf, isDigest } from './digest.ts';
import { blocksOf, type DiskUsage, Inventory } from './disk-usage.ts';
import { PartialBlob, TooLargeError } from './partial-blob.ts';

export interface ExpectedBlob {
  digest?: Digest | undefined;
  /** Bytes; exact. */
  size?: number | undefined;
  /** Bytes; at most. */
  limit?: number | undefined;
  /** What the blob is, for messages: "layer of docker.io/library/busybox". */
  what: string;
}

interface Blob extends DiskUsage {
  size: number;
  /** Unix time in ms when it came. */
  since: number;
}

/**
 * Blobs by digest: `blobs/sha256/<hex>` below a root directory. A blob is written in `ingest/`,
 * checked while it streams, made durable, and only then renamed to its name: what is under a name
 * is whole. What is there is known without looking at the disk: nobody else changes it.
 *
 * In `ingest/`, a file named by a digest is the beginning of that blob, kept for the next pull that
 * wants it; any other belongs to somebody at work.
 */
export class ContentStore {
  readonly #blobs: string;
  readonly #ingest: string;
  readonly #stored = new Inventory<Digest, Blob>();
  /** Files in `ingest/` by name. */
  readonly #coming = new Inventory<string, DiskUsage & { since: number }>();
  /** Blobs that were found to be damaged: as good as absent, until they are replaced. */
  readonly #damaged = new Set<Digest>();

  private constructor(root: string) {
    this.#blobs = join(root, 'blobs', 'sha256');
    this.#ingest = join(root, 'ingest');
  }

  /** Creates the directories, and throws away what a crash left that no pull can go on with. */
  static async open(root: string): Promise<ContentStore> {
    const store = new ContentStore(root);
    await mkdir(store.#ingest, { recursive: true, mode: 0o700 });
    const made = await mkdir(store.#blobs, { recursive: true, mode: 0o700 });
    if (made !== undefined)
      for (const path of [join(root, 'blobs'), root]) await syncDirectory(path);
    await Promise.all([store.#findBlobs(), store.#findPartials()]);
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
  size(digest: Digest): number | undefined {
    return this.#damaged.has(digest) ? undefined : this.#stored.get(digest)?.size;
  }

  /** Reads a small blob and checks it. Throws NotFound, DataLoss, or FailedPrecondition by size. */
  async read(digest: Digest, limit: number): Promise<Buffer> {
    const size = this.size(digest);
    if (size === undefined) throw notFound('blob', digest);
    if (size > limit) throw new TooLargeError(`blob ${digest}`, limit);
    const bytes = await readFile(this.path(digest)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') throw this.distrust(digest, 'is gone from the disk');
      throw error;
    });
    if (createHash('sha256').update(bytes).digest('hex') !== hexOf(digest)) {
      throw this.distrust(digest, 'has changed on disk');
    }
    return bytes;
  }

  /** Takes a blob as absent from now on, so that the next pull brings it again. Returns DataLoss. */
  distrust(digest: Digest, why: string): CoracleError {
    this.#damaged.add(digest);
    return new CoracleError('DataLoss', `blob ${digest} ${why}`);
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
      /** Awaited with the digest once the bytes are here, before they get its name. */
      beforeCommit?: (digest: Digest) => Promise<void>;
    } = {},
  ): Promise<{ digest: Digest; size: number }> {
    const partial = await this.#openPartial(randomUUID());
    try {
      const { signal, onBytes } = options;
      const limit = expected.size ?? expected.limit ?? Number.POSITIVE_INFINITY;
      await partial.append(source, { limit, what: expected.what, signal, onBytes });
      const digest = partial.digest();
      const wrong = checkBlob(expected, digest, partial.offset);
      if (wrong) throw wrong;
      await options.beforeCommit?.(digest);
      await this.commit(partial, digest);
      return { digest, size: partial.offset };
    } catch (error) {
      // What cannot be removed now goes at the next open.
      await this.discard(partial).catch(() => undefined);
      throw error;
    }
  }

  /**
   * Opens what there is of a blob that did not come to its end, or an empty beginning. One caller
   * at a time may have it, and ends with `commit`, `discard` or `suspend`.
   */
  resume(digest: Digest, signal?: AbortSignal): Promise<PartialBlob> {
    return this.#openPartial(hexOf(digest), signal);
  }

  /** Gives a whole and checked partial its name, durably. */
  async commit(partial: PartialBlob, digest: Digest): Promise<void> {
    const bytes = await partial.sync();
    await partial.close();
    await failpoint('blob.rename');
    await rename(partial.path, this.path(digest));
    await failpoint('blob.renamed');
    this.#coming.delete(basename(partial.path));
    this.#stored.set(digest, { size: partial.offset, bytes, inodes: 1, since: Date.now() });
    this.#damaged.delete(digest);
    await syncDirectory(this.#blobs);
  }

  /** Closes a partial and removes it. */
  async discard(partial: PartialBlob): Promise<void> {
    await partial.close();
    await this.#removePartialFile(basename(partial.path));
  }

  /** Closes a partial and keeps it for the next who wants this blob. */
  async suspend(partial: PartialBlob): Promise<void> {
    if (partial.offset === 0) return this.discard(partial);
    await partial.close();
    await this.#measurePartial(basename(partial.path));
  }

  /** The digests of all blobs. */
  list(): Digest[] {
    return this.#stored.keys();
  }

  /** The digests of the partials that are kept, or at work. */
  partials(): Digest[] {
    return this.#coming.keys().map(digestNamed).filter(isDigest);
  }

  /** When a blob or a partial was last written, Unix time in ms. */
  since(digest: Digest): number {
    const found = this.#coming.get(hexOf(digest)) ?? this.#stored.get(digest);
    return found?.since ?? Date.now();
  }

  /** A blob that is absent is no error. */
  async remove(digest: Digest): Promise<void> {
    await unlinkIfThere(this.path(digest));
    this.#stored.delete(digest);
    this.#damaged.delete(digest);
  }

  removePartial(digest: Digest): Promise<void> {
    return this.#removePartialFile(hexOf(digest));
  }

  /** Of blobs and of what is on its way to become one. */
  usage(): DiskUsage {
    const { total: blobs } = this.#stored;
    const { total: coming } = this.#coming;
    return { bytes: blobs.bytes + coming.bytes, inodes: blobs.inodes + coming.inodes };
  }

  async #openPartial(name: string, signal?: AbortSignal): Promise<PartialBlob> {
    const grown = (size: number) =>
      this.#coming.set(name, { bytes: blocksOf(size), inodes: 1, since: Date.now() });
    if (this.#coming.get(name) === undefined) grown(0);
    try {
      return await PartialBlob.open(join(this.#ingest, name), grown, signal);
    } catch (error) {
      await this.#measurePartial(name);
      throw error;
    }
  }

  async #removePartialFile(name: string): Promise<void> {
    await unlinkIfThere(join(this.#ingest, name));
    this.#coming.delete(name);
  }

  async #findBlobs(): Promise<void> {
    const digests = (await readdir(this.#blobs)).map(digestNamed).filter(isDigest);
    await Promise.all(
      digests.map(async (digest) => {
        const { size, blocks, mtimeMs } = await stat(this.path(digest));
        this.#stored.set(digest, { size, bytes: blocks * 512, inodes: 1, since: mtimeMs });
      }),
    );
  }

  async #findPartials(): Promise<void> {
    await Promise.all(
      (await readdir(this.#ingest)).map(async (name) => {
        if (isDigest(digestNamed(name))) await this.#measurePartial(name);
        else await rm(join(this.#ingest, name), { recursive: true, force: true });
      }),
    );
  }

  async #measurePartial(name: string): Promise<void> {
    try {
      const { blocks, mtimeMs } = await stat(join(this.#ingest, name));
      this.#coming.set(name, { bytes: blocks * 512, inodes: 1, since: mtimeMs });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      this.#coming.delete(name);
    }
  }
}

/** DataLoss where the bytes are not what was promised. */
export function checkBlob(
  expected: ExpectedBlob,
  digest: Digest,
  size: number,
): CoracleError | undefined {
  const { what } = expected;
  if (expected.digest !== undefined && digest !== expected.digest) {
    return new CoracleError('DataLoss', `${what}: its digest is ${digest}, not ${expected.digest}`);
  }
  if (expected.size !== undefined && size !== expected.size) {
    return new CoracleError('DataLoss', `${what}: ${size} bytes came, not ${expected.size}`);
  }
  return undefined;
}

export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function digestNamed(hex: string): string {
  return `sha256:${hex}`;
}

async function unlinkIfThere(path: string): Promise<void> {
  try {
    await failpoint('blob.remove');
    await unlink(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
