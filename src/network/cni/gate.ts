/**
 * Lets a number of jobs run at once, or one alone, in the order in which they came: whoever wants
 * to be alone waits for those before it and holds up those after it.
 */
export class Gate {
  readonly #limit: number;
  #free: number;
  readonly #waiting: { places: number; enter: () => void }[] = [];

  constructor(limit: number) {
    this.#limit = limit;
    this.#free = limit;
  }

  shared<T>(job: () => Promise<T>): Promise<T> {
    return this.#run(1, job);
  }

  exclusive<T>(job: () => Promise<T>): Promise<T> {
    return this.#run(this.#limit, job);
  }

  async #run<T>(places: number, job: () => Promise<T>): Promise<T> {
    if (this.#waiting.length > 0 || this.#free < places) {
      await new Promise<void>((enter) => this.#waiting.push({ places, enter }));
    } else {
      this.#free -= places;
    }
    try {
      return await job();
    } finally {
      this.#free += places;
      this.#admit();
    }
  }

  #admit(): void {
    for (;;) {
      const next = this.#waiting[0];
      if (!next || next.places > this.#free) return;
      this.#waiting.shift();
      this.#free -= next.places;
      next.enter();
    }
  }
}
