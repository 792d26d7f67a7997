/** How long a disk may take for what it is asked before it counts as one that hangs, ms. */
const PATIENCE = 200;

/** Tells whether something that was asked of a disk has been waited for too long. */
export class Patience {
  readonly #since = new Set<{ at: number }>();

  /** Waits for `work`, and takes note of how long. */
  async with<T>(work: Promise<T>): Promise<T> {
    const entry = { at: performance.now() };
    this.#since.add(entry);
    try {
      return await work;
    } finally {
      this.#since.delete(entry);
    }
  }

  get isOver(): boolean {
    const [oldest] = this.#since;
    return oldest !== undefined && performance.now() - oldest.at > PATIENCE;
  }
}
