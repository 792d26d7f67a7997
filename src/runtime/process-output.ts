import { Readable } from 'node:stream';

/**
 * What a process writes, as a stream of ours that ends with the source, or once the process has
 * exited and its children that hold the source open are silent (XS-6).
 */
export class ProcessOutput extends Readable {
  readonly #source: Readable;
  #patienceMs: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** Takes the source over: a socket of a pipe, or a pty master. */
  constructor(source: Readable) {
    super();
    this.#source = source;
    source.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) source.pause();
      this.#wait();
    });
    source.on('end', () => this.#end());
    source.on('close', () => this.#end());
    source.on('error', (error: NodeJS.ErrnoException) => {
      // How a pty master says that nobody has the terminal any more.
      if (error.code === 'EIO') this.#end();
      else this.destroy(error);
    });
    source.pause();
    this.on('error', () => {});
  }

  /** The process has exited: ends once nothing has come for `ms`. A slow reader loses nothing. */
  exited(ms: number): void {
    this.#patienceMs = ms;
    this.#wait();
  }

  override _read(): void {
    this.#source.resume();
    this.#wait();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearTimeout(this.#timer);
    this.#source.destroy();
    done(error);
  }

  /** Counts only while the source is read: a pause is our reader's, not the process's. */
  #wait(): void {
    clearTimeout(this.#timer);
    if (this.#patienceMs === undefined || this.readableEnded || this.destroyed) return;
    if (this.#source.isPaused()) return;
    this.#timer = setTimeout(() => this.#end(), this.#patienceMs);
  }

  #end(): void {
    clearTimeout(this.#timer);
    this.#patienceMs = undefined;
    this.#source.destroy();
    if (!this.destroyed) this.push(null);
  }
}
