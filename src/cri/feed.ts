import { CoracleError } from '../errors.ts';

/**
 * Hands messages from a producer that must not wait to one reader that may be slow, in order and
 * without a gap: a reader that falls further behind than `capacity` gets ResourceExhausted instead,
 * and nothing is kept for it any more.
 */
export class Feed<T> implements AsyncIterable<T> {
  #queue: T[] = [];
  #end: { error: Error } | undefined;
  #wake: (() => void) | undefined;
  readonly #capacity: number;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** It takes no more: whoever fills it may stop. */
  get ended(): boolean {
    return this.#end !== undefined;
  }

  put(value: T): void {
    if (this.#end) return;
    this.#queue.push(value);
    if (this.#queue.length > this.#capacity) {
      this.#queue = [];
      const message = `the reader is more than ${this.#capacity} events behind: list again`;
      this.#finish(new CoracleError('ResourceExhausted', message, { reason: 'EventsLost' }));
      return;
    }
    this.#wake?.();
  }

  /** The reader still gets what it has room for, then the error. The first end counts. */
  fail(error: Error): void {
    if (!this.#end) this.#finish(error);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      const next = this.#queue.shift();
      if (next !== undefined) yield next;
      else if (this.#end) throw this.#end.error;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }

  #finish(error: Error): void {
    this.#end = { error };
    this.#wake?.();
  }
}
