/** How far back a speed looks, in milliseconds: steady to read, yet quick to show a stall. */
const WINDOW_MS = 3000;

interface Sample {
  at: number;
  count: number;
}

/** Bytes per second over the last seconds, from counts that are told now and then. */
export class Speed {
  readonly #samples: Sample[] = [];

  /** `at` in ms, never before the last; a count that falls begins anew, as a retry does. */
  add(at: number, count: number): void {
    const last = this.#samples.at(-1);
    if (last && count < last.count) this.#samples.length = 0;
    this.#samples.push({ at, count });
    // One sample from before the window stays: it tells where the window began.
    while (this.#samples[1] && this.#samples[1].at <= at - WINDOW_MS) this.#samples.shift();
  }

  /** 0 until there are two samples some time apart. */
  at(now: number): number {
    const [first] = this.#samples;
    const last = this.#samples.at(-1);
    if (!first || !last || now <= first.at) return 0;
    return ((last.count - first.count) * 1000) / (now - first.at);
  }
}
