import type { Readable, Writable } from 'node:stream';

/** Why a pump has stopped. */
export type PumpEnd =
  /** The source has ended, and all of it was handed to the sink, which is still open. */
  { kind: 'ended' } | { kind: 'sourceLost' | 'sinkLost'; error: Error | undefined };

const ignore = () => {};

/**
 * Copies from a source to a sink that both outlive it: the end of the source does not end the sink,
 * so that each direction of a connection can be closed by itself. The source is paused while the
 * sink is full.
 */
export class Pump {
  readonly done: Promise<PumpEnd>;
  readonly #source: Readable;
  readonly #sink: Writable;
  readonly #discard: boolean;
  #settle!: (end: PumpEnd) => void;
  #settled = false;
  #full = false;
  /** When the last bytes came, or when the sink could take more again. */
  #lastProgress = performance.now();

  /** With `discard` it reads on when the sink is gone, so that the source's sender is not held up. */
  constructor(source: Readable, sink: Writable, options: { discard?: boolean } = {}) {
    this.#source = source;
    this.#sink = sink;
    this.#discard = options.discard ?? false;
    this.done = new Promise((resolve) => {
      this.#settle = resolve;
    });
    // For good: an error after the end must not be one that nobody listens to.
    source.on('error', (error) => this.#end({ kind: 'sourceLost', error }));
    sink.on('error', (error) => this.#lostSink(error));
    source.on('end', this.#onEnd).on('close', this.#onSourceClose);
    sink.on('close', this.#onSinkClose).on('drain', this.#onDrain);
    if (source.readableEnded) this.#onEnd();
    else if (source.destroyed) this.#onSourceClose();
    else source.on('data', this.#onData).resume();
  }

  /** Waits for the end, and no longer than until the source has been silent for `ms`. */
  async finish(ms: number): Promise<void> {
    const begin = performance.now();
    while (!this.#settled) {
      const since = this.#full ? performance.now() : Math.max(begin, this.#lastProgress);
      const left = ms - (performance.now() - since);
      if (left <= 0) return this.#end({ kind: 'sourceLost', error: undefined });
      let timer: NodeJS.Timeout | undefined;
      const timeout = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, left);
      });
      await Promise.race([this.done, timeout]);
      clearTimeout(timer);
    }
  }

  readonly #onData = (chunk: Buffer) => {
    this.#lastProgress = performance.now();
    if (!this.#sink.writable) {
      this.#lostSink(undefined);
      return;
    }
    if (this.#sink.write(chunk)) return;
    this.#full = true;
    this.#source.pause();
  };

  readonly #onDrain = () => {
    if (!this.#full) return;
    this.#full = false;
    this.#lastProgress = performance.now();
    this.#source.resume();
  };

  readonly #onEnd = () => this.#end({ kind: 'ended' });
  readonly #onSourceClose = () => this.#end({ kind: 'sourceLost', error: undefined });
  readonly #onSinkClose = () => this.#lostSink(undefined);

  #lostSink(error: Error | undefined): void {
    if (this.#discard && !this.#settled) {
      this.#source.off('data', this.#onData).on('data', ignore).resume();
    }
    this.#end({ kind: 'sinkLost', error });
  }

  #end(end: PumpEnd): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#source.off('data', this.#onData).off('end', this.#onEnd);
    this.#source.off('close', this.#onSourceClose);
    this.#sink.off('close', this.#onSinkClose).off('drain', this.#onDrain);
    if (!this.#discard && end.kind !== 'ended') this.#source.pause();
    this.#settle(end);
  }
}
