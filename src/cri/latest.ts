/**
 * Hands a stream of snapshots from a producer that must not wait to one reader that may be slow:
 * the reader gets the newest, and what it was too late for is skipped.
 */
export class Latest<T> implements AsyncIterable<T> {
  #next: { value: T } | undefined;
  #ended = false;
  #wake: (() => void) | undefined;

  put(value: T): void {
    this.#next = { value };
    this.#wake?.();
  }

  /** The reader still gets what was put last. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      const next = this.#next;
      this.#next = undefined;
      if (next !== undefined) yield next.value;
      else if (this.#ended) return;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}
