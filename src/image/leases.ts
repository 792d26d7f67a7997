/**
 * What pulls and imports are about to use: blobs and layers by digest. A lease keeps them from
 * being collected before an image refers to them. In memory: a crash ends all leases.
 */
export class Leases {
  readonly #counts = new Map<string, number>();

  has(key: string): boolean {
    return this.#counts.has(key);
  }

  /** A set of leases that end together. */
  open(): Lease {
    return new Lease(this.#counts);
  }
}

export class Lease {
  readonly #counts: Map<string, number>;
  readonly #mine = new Set<string>();

  constructor(counts: Map<string, number>) {
    this.#counts = counts;
  }

  /** What it covers. */
  keys(): string[] {
    return [...this.#mine];
  }

  add(key: string): void {
    if (this.#mine.has(key)) return;
    this.#mine.add(key);
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }

  end(): void {
    for (const key of this.#mine) {
      const left = (this.#counts.get(key) ?? 1) - 1;
      if (left === 0) this.#counts.delete(key);
      else this.#counts.set(key, left);
    }
    this.#mine.clear();
  }
}
