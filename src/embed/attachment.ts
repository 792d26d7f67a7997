import type { Readable, Writable } from 'node:stream';
import type { ProcessStreams } from '../runtime/streams.ts';
import { checkSize } from './options/check.ts';

export interface AttachOptions {
  /** Default true, each; a stream that the container has not is null. */
  stdin?: boolean;
  stdout?: boolean;
  stderr?: boolean;
  signal?: AbortSignal;
}

/**
 * The streams of a running container, from now on. Both outputs have to be read, or turned off: one
 * that is left unread holds up the other, and a reader that falls about 1 MiB behind is cut off.
 * `await using` detaches; the container goes on.
 */
export class Attachment implements AsyncDisposable {
  readonly stdin: Writable | null;
  readonly stdout: Readable | null;
  readonly stderr: Readable | null;
  readonly #streams: ProcessStreams;

  /** @internal */
  constructor(streams: ProcessStreams) {
    this.#streams = streams;
    this.stdin = streams.stdin ?? null;
    this.stdout = streams.stdout ?? null;
    this.stderr = streams.stderr ?? null;
  }

  /** Resolves when the container has exited; rejects with ResourceExhausted after a cut-off. */
  wait(): Promise<{ exitCode: number }> {
    return this.#streams.wait();
  }

  async resize(rows: number, columns: number): Promise<void> {
    checkSize(rows, columns);
    return this.#streams.resize(rows, columns);
  }

  detach(): Promise<void> {
    return this.#streams.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.detach();
  }
}
