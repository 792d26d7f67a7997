/** Counts and times, and their text for Prometheus (exposition format 0.0.4). */
import { type Labels, labelText, line } from './exposition.ts';
import { Histogram } from './histogram.ts';

/** A value and its labels. */
export type Sample = readonly [value: number, labels?: Labels];

interface Series {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  lines(): string[];
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
    const histogram = new Histogram();
    this.readHistogram(name, help, () => histogram);
    return histogram;
  }

  /** A histogram that somebody else keeps, or that is not there yet. */
  readHistogram(name: string, help: string, read: () => Histogram | undefined): void {
    this.#add({ name, help, type: 'histogram', lines: () => read()?.lines(name) ?? [] });
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
