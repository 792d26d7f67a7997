/** Counts and times, and their text for Prometheus (exposition format 0.0.4). */

type Labels = Readonly<Record<string, string>>;
/** A value and its labels. */
export type Sample = readonly [value: number, labels?: Labels];

/** Upper bounds of the buckets of durations, s: from a list out of memory to a slow pull. */
const SECONDS = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120,
] as const;

interface Series {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  lines(): string[];
}

/** How long something takes, by labels. */
export interface Histogram {
  observe(seconds: number, labels: Labels): void;
}

/** Something that is counted, by labels. */
export interface Counter {
  add(count: number, labels: Labels): void;
}

/** All metrics of a process; those of others are asked for their values when they are wanted. */
export class Metrics {
  readonly #series: Series[] = [];

  counter(name: string, help: string): Counter {
    const counts = new Map<string, number>();
    this.#add({ name, help, type: 'counter', lines: () => [...counts].map(line) });
    return {
      add: (count, labels) => {
        const key = name + labelText(labels);
        counts.set(key, (counts.get(key) ?? 0) + count);
      },
    };
  }

  histogram(name: string, help: string): Histogram {
    const all = new Map<string, Buckets>();
    this.#add({
      name,
      help,
      type: 'histogram',
      lines: () => [...all.values()].flatMap((buckets) => buckets.lines(name)),
    });
    return {
      observe: (seconds, labels) => {
        const key = labelText(labels);
        const buckets = all.get(key) ?? new Buckets(labels);
        all.set(key, buckets);
        buckets.observe(seconds);
      },
    };
  }

  /** Values that `read` gives each time they are wanted; a counter's may only grow. */
  read(
    type: 'counter' | 'gauge',
    name: string,
    help: string,
    read: () => number | readonly Sample[],
  ): void {
    this.#add({
      name,
      help,
      type,
      lines: () => {
        const samples = read();
        if (typeof samples === 'number') return [line([name, samples])];
        return samples.map(([value, labels]) => line([name + labelText(labels ?? {}), value]));
      },
    });
  }

  text(): string {
    const parts = this.#series.map(({ name, help, type, lines }) => {
      const escaped = help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
      return [`# HELP ${name} ${escaped}`, `# TYPE ${name} ${type}`, ...lines()].join('\n');
    });
    return `${parts.join('\n')}\n`;
  }

  #add(series: Series): void {
    if (this.#series.some(({ name }) => name === series.name)) {
      throw new Error(`there is a metric ${series.name} already`);
    }
    this.#series.push(series);
  }
}

class Buckets {
  readonly #labels: Labels;
  readonly #counts = new Array<number>(SECONDS.length).fill(0);
  #count = 0;
  #sum = 0;

  constructor(labels: Labels) {
    this.#labels = labels;
  }

  observe(seconds: number): void {
    this.#count += 1;
    this.#sum += seconds;
    const bucket = SECONDS.findIndex((bound) => seconds <= bound);
    if (bucket >= 0) this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
  }

  lines(name: string): string[] {
    const labels = labelText(this.#labels);
    let below = 0;
    const buckets = SECONDS.map((bound, index) => {
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

function line([name, value]: readonly [string, number]): string {
  return `${name} ${value}`;
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => {
    const escaped = value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
    return `${name}="${escaped}"`;
  });
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}
