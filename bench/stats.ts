/** Order statistics of one series of measurements, in the unit of the series. */
export interface Summary {
  n: number;
  min: number;
  median: number;
  p90: number;
  max: number;
}

export function summarise(values: readonly number[]): Summary {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (q: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? NaN;
  return { n: sorted.length, min: at(0), median: at(0.5), p90: at(0.9), max: at(1) };
}

/** What one round measures: milliseconds, or undefined where this contestant has no such phase. */
export type Contestant = { name: string; once: () => Promise<Record<string, number>> };

/**
 * Runs all contestants in turn, A B C A B C …, starting with another one each round, so that what
 * else the machine does falls on all of them. Returns the series by contestant and phase.
 */
export async function interleave(
  contestants: readonly Contestant[],
  rounds: number,
  warmup: number,
): Promise<Map<string, Map<string, number[]>>> {
  const series = new Map<string, Map<string, number[]>>();
  for (let round = -warmup; round < rounds; round += 1) {
    for (let turn = 0; turn < contestants.length; turn += 1) {
      const index = (turn + round + warmup) % contestants.length;
      const contestant = contestants[index];
      if (!contestant) continue;
      const phases = await contestant.once();
      if (round < 0) continue;
      const mine = series.get(contestant.name) ?? new Map<string, number[]>();
      series.set(contestant.name, mine);
      for (const [phase, ms] of Object.entries(phases)) {
        mine.set(phase, [...(mine.get(phase) ?? []), ms]);
      }
    }
  }
  return series;
}

/** Milliseconds that `work` takes. */
export async function timed<T>(work: () => Promise<T>): Promise<[ms: number, result: T]> {
  const before = process.hrtime.bigint();
  const result = await work();
  return [Number(process.hrtime.bigint() - before) / 1e6, result];
}
