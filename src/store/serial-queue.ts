/** Runs asynchronous jobs one after another, in the order in which they were handed in. */
export class SerialQueue {
  #tail: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  /** True while nothing runs and nothing waits. */
  get idle(): boolean {
    return this.#waiting === 0;
  }

  /** A job that fails does not keep later ones from running. */
  run<T>(job: () => Promise<T>): Promise<T> {
    this.#waiting += 1;
    const result = this.#tail.then(job);
    const done = () => {
      this.#waiting -= 1;
    };
    this.#tail = result.then(done, done);
    return result;
  }

  /** Resolves when all that was handed in so far is over. */
  async drained(): Promise<void> {
    await this.#tail;
  }
}
