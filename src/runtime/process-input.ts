import { Socket } from 'node:net';
import { Writable } from 'node:stream';

/**
 * What a process reads, as a stream of ours. A process that takes no more input is no error: what
 * is written then is dropped, as nobody can miss it. Ending it closes the pipe.
 */
export class ProcessInput extends Writable {
  readonly #pipe: Socket;

  /** Takes the writing end of a pipe. */
  constructor(fd: number) {
    super();
    this.#pipe = new Socket({ fd, readable: false, writable: true });
    // EPIPE, mostly; the writes that it fails are answered below.
    this.#pipe.on('error', () => this.#pipe.destroy());
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    if (this.#pipe.destroyed) done();
    else this.#pipe.write(chunk, () => done());
  }

  override _final(done: () => void): void {
    this.#pipe.destroy();
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#pipe.destroy();
    done(error);
  }
}
