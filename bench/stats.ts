/** Order statistics of one series of measurements, in the unit of the series. */
export interface Summary {
  n: number;
  min: number;
  /** Quartiles: half of the values lie between `q1` and `q3`. */
  q1: number;
  median: number;
  q3: number;
  p90: number;
  p99: number;
  max: number;
}

export function summarise(values: readonly number[]): Summary {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (q: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? NaN;
  return {
    n: sorted.length,
    min: at(0),
    q1: at(0.25),
    median: at(0.5),
    q3: at(0.75),
    p90: at(0.9),
    p99: at(0.99),
    max: at(1),
  };
}

/** A measurement of a contestant by what it measures: phases of one round. */
export type Phases = Record<string, number>;

export interface Contestant {
  name: string;
  once: () => Promise<Phases>;
}

/** Contestant → phase → values. */
export type SeriesMap = Map<string, Map<string, number[]>>;

export function addTo(series: SeriesMap, who: string, phases: Phases): void {
  const mine = series.get(who) ?? new Map<string, number[]>();
  series.set(who, mine);
  for (const [phase, value] of Object.entries(phases)) {
    const values = mine.get(phase) ?? [];
    mine.set(phase, values);
    values.push(value);
  }
}

/**
 * Runs all contestants in turn, A B C A B C …, starting with another one each round, so that what
 * else the machine does falls on all of them. Returns the series by contestant and phase.
 */
export async function interleave(
  contestants: readonly Contestant[],
  rounds: number,
  warmup: number,
): Promise<SeriesMap> {
  const series: SeriesMap = new Map();
  for (let round = -warmup; round < rounds; round += 1) {
    for (let turn = 0; turn < contestants.length; turn += 1) {
      const contestant = contestants[(turn + round + warmup) % contestants.length];
      if (!contestant) continue;
      const phases = await contestant.once();
      if (round >= 0) addTo(series, contestant.name, phases);
    }
  }
  return series;
}

/** Milliseconds that `work` takes. */
export async function timed<T>(work: () => Promise<T>): Promise<[ms: number, result: T]> {
  const before = process.hrtime.bigint();
  const result = await work();
  return [millisecondsSince(before), result];
}

/** Since a time of `process.hrtime.bigint()`. */
export function millisecondsSince(before: bigint): number {
  return Number(process.hrtime.bigint() - before) / 1e6;
}
