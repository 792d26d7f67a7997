/** How long something takes, counted by how long it took (Prometheus' exposition format 0.0.4). */
import { type Labels, labelText, line } from './exposition.ts';

/** Upper bounds of buckets of durations, s: from a list out of memory to a slow pull. */
const CALLS = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120,
] as const;

/** Durations by labels. */
export class Histogram {
  readonly #bounds: readonly number[];
  readonly #all = new Map<string, Buckets>();

  /** `bounds` are the upper bounds of the buckets, s, ascending. */
  constructor(bounds: readonly number[] = CALLS) {
    this.#bounds = bounds;
  }

  observe(seconds: number, labels: Labels): void {
    this.of(labels).observe(seconds);
  }

  /** Those of one set of labels, for who observes so often that it keeps them. */
  of(labels: Labels): Buckets {
    const key = labelText(labels);
    const buckets = this.#all.get(key) ?? new Buckets(this.#bounds, labels);
    this.#all.set(key, buckets);
    return buckets;
  }

  /** As a metric of this name. */
  lines(name: string): string[] {
    return [...this.#all.values()].flatMap((buckets) => buckets.lines(name));
  }
}

class Buckets {
  readonly #bounds: readonly number[];
  readonly #labels: Labels;
  readonly #counts: number[];
  #count = 0;
  #sum = 0;

  constructor(bounds: readonly number[], labels: Labels) {
    this.#bounds = bounds;
    this.#labels = labels;
    this.#counts = new Array<number>(bounds.length).fill(0);
  }

  observe(seconds: number): void {
    this.#count += 1;
    this.#sum += seconds;
    const bucket = this.#bounds.findIndex((bound) => seconds <= bound);
    if (bucket >= 0) this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
  }

  lines(name: string): string[] {
    const labels = labelText(this.#labels);
    let below = 0;
    const buckets = this.#bounds.map((bound, index) => {
      below += this.#counts[index] ?? 0;
      return line([`${name}_bucket${labelText({ ...this.#labels, le: String(bound) })}`, below]);
    });
    return [
      ...buckets,
      line([`${name}_bucket${labelText({ ...this.#labels, le: '+Inf' })}`, this.#count]),
      line([`${name}_sum${labels}`, this.#sum]),
      line([`${name}_count${labels}`, this.#count]),
    ];
  }
}

export type { Buckets };
