import { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { CoracleError } from '../errors.ts';
import { type Deferred, deferred } from './deferred.ts';

/** AttachFrame of native/plan/protocol.h: u32 stream, u32 size, little-endian. */
const HEAD = 8;
const END = 0;

/**
 * The output of an attach, taken apart again into its streams. Both come through one pipe, in the
 * order in which they were written: whoever leaves one unread gets no more of the other.
 */
export class AttachOutput {
  readonly #pipe: Socket;
  /** By the number that frames give them; undefined where it was not asked for. */
  readonly #streams: [undefined, Readable | undefined, Readable | undefined];
  readonly #full = new Set<Readable>();
  readonly #done: Deferred<void> = deferred<void>();
  #head = Buffer.alloc(0);
  #stream = END;
  /** Bytes that the current frame still has. */
  #left = 0;

  /** Takes the reading end of the monitor's pipe. */
  constructor(fd: number, wanted: { stdout: boolean; stderr: boolean }) {
    this.#streams = [
      undefined,
      wanted.stdout ? this.#readable() : undefined,
      wanted.stderr ? this.#readable() : undefined,
    ];
    this.#pipe = new Socket({ fd, readable: true, writable: false });
    this.#pipe.on('data', (chunk: Buffer) => this.#take(chunk));
    this.#pipe.on('error', () => this.#pipe.destroy());
    this.#pipe.on('close', () => this.#cutOff());
  }

  get stdout(): Readable | undefined {
    return this.#streams[1];
  }

  get stderr(): Readable | undefined {
    return this.#streams[2];
  }

  /**
   * Settles when there is no more: the process has ended, or `close` was called. Rejects with
   * ResourceExhausted where the reader fell behind (or the monitor is gone) and was cut off.
   */
  get done(): Promise<void> {
    return this.#done.promise;
  }

  close(): void {
    this.#done.resolve();
    this.#pipe.destroy();
    for (const stream of this.#streams) stream?.destroy();
  }

  #readable(): Readable {
    const stream: Readable = new Readable({
      read: () => this.#drained(stream),
      destroy: (error, done) => {
        // Nobody reads it: what still comes is dropped.
        this.#drained(stream);
        done(error);
      },
    });
    // `done` rejects with it, too: whoever looks at that alone must not crash.
    stream.on('error', () => {});
    return stream;
  }

  #drained(stream: Readable): void {
    if (this.#full.delete(stream) && this.#full.size === 0) this.#pipe.resume();
  }

  #take(chunk: Buffer): void {
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#left > 0) {
        this.#push(this.#stream, rest.subarray(0, this.#left));
        const taken = Math.min(this.#left, rest.length);
        this.#left -= taken;
        rest = rest.subarray(taken);
        continue;
      }
      const missing = HEAD - this.#head.length;
      this.#head = Buffer.concat([this.#head, rest.subarray(0, missing)]);
      rest = rest.subarray(missing);
      if (this.#head.length < HEAD) return;
      this.#open(this.#head.readUInt32LE(0), this.#head.readUInt32LE(4));
      this.#head = Buffer.alloc(0);
    }
  }

  #open(stream: number, size: number): void {
    this.#stream = stream;
    this.#left = size;
    if (stream === END) {
      this.#done.resolve();
      for (const each of this.#streams) this.#end(each);
    } else if (size === 0) {
      this.#end(this.#streams[stream]);
    }
  }

  #push(name: number, bytes: Buffer): void {
    const stream = this.#streams[name];
    if (!stream || stream.destroyed || stream.push(bytes)) return;
    this.#full.add(stream);
    this.#pipe.pause();
  }

  #end(stream: Readable | undefined): void {
    if (stream && !stream.destroyed && !stream.readableEnded) stream.push(null);
  }

  #cutOff(): void {
    const error = new CoracleError(
      'ResourceExhausted',
      'the attach was cut off: its reader fell behind the output, or the pod is gone',
    );
    this.#done.reject(error);
    // Without effect on `done` after the last word, and then what is buffered may still be read.
    this.done.catch(() => {
      for (const stream of this.#streams) if (!stream?.readableEnded) stream?.destroy(error);
    });
  }
}
