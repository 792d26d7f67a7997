import { createHash, type Hash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { CoracleError, throwIfAborted } from '../errors.ts';
import { failpoint } from '../failpoint.ts';
import type { Digest } from './digest.ts';

/** Chunks gather to so many bytes before they are written: few calls, little memory. */
const BATCH = 512 << 10;
const READ = 256 << 10;

export interface AppendOptions {
  /** Bytes that the blob may have in all. */
  limit: number;
  /** For messages. */
  what: string;
  signal?: AbortSignal | undefined;
  /** Told of each chunk as it comes. */
  onBytes?: ((count: number) => void) | undefined;
}

/**
 * A file that is becoming a blob. Hash and offset move with the bytes that were written, so that
 * after a broken connection the next bytes are asked for from `offset` on.
 */
export class PartialBlob {
  readonly path: string;
  readonly #file: FileHandle;
  readonly #onGrown: (bytes: number) => void;
  #hash: Hash = createHash('sha256');
  #offset = 0;
  /** The hash has seen bytes that the file may not have. */
  #spoiled = false;

  private constructor(path: string, file: FileHandle, onGrown: (bytes: number) => void) {
    this.path = path;
    this.#file = file;
    this.#onGrown = onGrown;
  }

  /**
   * Opens the file, made if it is missing, and takes over what is there: whoever wrote it may have
   * been killed, so its bytes are hashed again. `onGrown` is told its size whenever that changes.
   */
  static async open(
    path: string,
    onGrown: (bytes: number) => void,
    signal?: AbortSignal,
  ): Promise<PartialBlob> {
    const file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    const partial = new PartialBlob(path, file, onGrown);
    try {
      await partial.#adopt(signal);
      return partial;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Bytes that are in the file and in the hash. */
  get offset(): number {
    return this.#offset;
  }

  /**
   * Appends a stream. What came before an error stays. Throws FailedPrecondition beyond the limit,
   * and whatever the stream or the disk does; after an error of the disk only `close` is left.
   */
  async append(source: AsyncIterable<Uint8Array>, options: AppendOptions): Promise<void> {
    if (this.#spoiled) throw new CoracleError('Internal', `${this.path} is spoiled`);
    let batch: Uint8Array[] = [];
    let held = 0;
    const flush = async () => {
      const full = batch;
      batch = [];
      held = 0;
      await this.#write(full);
    };
    try {
      for await (const chunk of source) {
        throwIfAborted(options.signal);
        if (this.#offset + held + chunk.byteLength > options.limit) {
          throw new TooLargeError(options.what, options.limit);
        }
        this.#hash.update(chunk);
        batch.push(chunk);
        held += chunk.byteLength;
        options.onBytes?.(chunk.byteLength);
        if (held >= BATCH) await flush();
      }
      throwIfAborted(options.signal);
    } finally {
      await flush();
    }
  }

  /** Throws away what is there. */
  async restart(): Promise<void> {
    await this.#file.truncate(0);
    this.#hash = createHash('sha256');
    this.#moveTo(0);
  }

  /** To be asked once, when nothing is to come any more. */
  digest(): Digest {
    return `sha256:${this.#hash.digest('hex')}`;
  }

  /** Makes the bytes durable. Returns how many the disk has allocated for them. */
  async sync(): Promise<number> {
    await failpoint('blob.sync');
    await this.#file.datasync();
    return (await this.#file.stat()).blocks * 512;
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  async #adopt(signal: AbortSignal | undefined): Promise<void> {
    const buffer = Buffer.allocUnsafe(READ);
    for (;;) {
      throwIfAborted(signal);
      const { bytesRead } = await this.#file.read(buffer, 0, READ, this.#offset);
      if (bytesRead === 0) break;
      this.#hash.update(buffer.subarray(0, bytesRead));
      this.#offset += bytesRead;
    }
    this.#onGrown(this.#offset);
  }

  async #write(batch: Uint8Array[]): Promise<void> {
    if (batch.length === 0) return;
    let left = batch;
    this.#spoiled = true;
    while (left.length > 0) {
      await failpoint('blob.write');
      const { bytesWritten } = await this.#file.writev(left, this.#offset);
      this.#moveTo(this.#offset + bytesWritten);
      left = withoutFirst(left, bytesWritten);
    }
    this.#spoiled = false;
  }

  #moveTo(offset: number): void {
    this.#offset = offset;
    this.#onGrown(offset);
  }
}

function withoutFirst(buffers: Uint8Array[], count: number): Uint8Array[] {
  let skip = count;
  const left: Uint8Array[] = [];
  for (const buffer of buffers) {
    if (skip < buffer.byteLength) left.push(buffer.subarray(skip));
    skip = Math.max(0, skip - buffer.byteLength);
  }
  return left;
}

/** There are more bytes of something than it may have. */
export class TooLargeError extends CoracleError {
  constructor(what: string, limit: number) {
    super('FailedPrecondition', `${what} has more than ${limit} bytes`);
  }
}
