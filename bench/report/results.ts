import type { Size } from '../benchmark.ts';
import type { Machine } from '../hosts/machine.ts';
import type { Outcome, Row } from '../outcome.ts';
import type { Summary } from '../stats.ts';

export interface BenchmarkResult extends Outcome {
  name: string;
  title: string;
  about: string;
  /** What it took. */
  seconds: number;
}

/** All that was measured in one run; what --json writes. */
export interface Results {
  machine: Machine;
  size: Size;
  benchmarks: BenchmarkResult[];
}

export function findRow(
  results: Results,
  benchmark: string,
  who: string,
  what: string,
): Row | undefined {
  const rows = results.benchmarks.find(({ name }) => name === benchmark)?.rows ?? [];
  return rows.find((row) => row.who === who && row.what === what);
}

/** NaN where it was not measured. */
export function measuredOf(
  results: Results,
  benchmark: string,
  who: string,
  what: string,
  field: keyof Summary = 'median',
): number {
  return findRow(results, benchmark, who, what)?.summary[field] ?? Number.NaN;
}
