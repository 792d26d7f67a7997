/**
 * Chance from a seed. Each stream depends on the seed and its name alone, so that what one part of
 * a run draws does not depend on how fast another is.
 */
export class Random {
  #state: number;

  constructor(seed: number, name: string) {
    let hash = (seed >>> 0) ^ 0x9e3779b9;
    for (let i = 0; i < name.length; i += 1) {
      hash = Math.imul(hash ^ name.charCodeAt(i), 0x85ebca6b);
      hash ^= hash >>> 13;
    }
    this.#state = hash >>> 0 || 1;
    for (let i = 0; i < 4; i += 1) this.bits();
  }

  /** 32 bits, xorshift32 (Marsaglia 2003). */
  bits(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state;
  }

  /** A whole number from `from` to `to`, both included. */
  int(from: number, to: number): number {
    return from + (this.bits() % (to - from + 1));
  }

  chance(percent: number): boolean {
    return this.bits() % 100 < percent;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.bits() % from.length] as T;
  }

  /** One of `weights`' keys, as often as its weight says. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K {
    const entries = Object.entries(weights) as [K, number][];
    let left = this.bits() % entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [key, weight] of entries) {
      if (left < weight) return key;
      left -= weight;
    }
    throw new Error('no weights');
  }
}
