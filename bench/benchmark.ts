import type { Host } from './hosts/host.ts';
import type { Outcome } from './outcome.ts';

/** How much is measured: `full` for a report, `quick` for a look, `smallest` to see that it works. */
export type Size = 'full' | 'quick' | 'smallest';

export interface Request {
  host: Host;
  size: Size;
  /** Instead of the size's own number. */
  rounds?: number;
  /** Directory on the file system to measure, for those that measure one. */
  dir?: string;
}

export interface Benchmark {
  name: string;
  title: string;
  /** What is done and what is timed. */
  about: string;
  run(request: Request): Promise<Outcome>;
}

/** The size's number of rounds, or the number that was asked for. */
export function roundsOf({ size, rounds }: Request, by: Record<Size, number>): number {
  return rounds ?? by[size];
}
