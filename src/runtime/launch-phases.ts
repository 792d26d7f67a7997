import { Histogram } from '../observe/histogram.ts';

/**
 * The parts of a launch, in their order.
 *
 * `plan` is its encoding, which the creation of a container does; `message` opening what the plan
 * names, and both ways to the monitor; `clone` to `exec` are the monitor's (see `LaunchTimes`);
 * `commit` is the record that a container runs.
 */
export const PHASES = [
  'plan',
  'message',
  'clone',
  'cgroup',
  'mounts',
  'process',
  'exec',
  'commit',
] as const;
export type Phase = (typeof PHASES)[number];

/** Seconds; absent: not known, as of a monitor of an older version, or none of that launch. */
export type PhaseTimes = Partial<Record<Phase, number>>;

export type LaunchKind = 'container' | 'exec';

/** Upper bounds, s: a phase takes from some microseconds to what a hung disk makes of it. */
const BOUNDS = [
  0.000_01, 0.000_02, 0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05,
  0.1, 1, 10,
];

/** How long the phases of all launches took that have succeeded. */
export class LaunchPhases {
  readonly histogram = new Histogram(BOUNDS);
  readonly #buckets = {
    container: this.#bucketsOf('container'),
    exec: this.#bucketsOf('exec'),
  };

  observe(kind: LaunchKind, times: PhaseTimes): void {
    for (const phase of PHASES) {
      const seconds = times[phase];
      if (seconds !== undefined) this.#buckets[kind][phase].observe(seconds);
    }
  }

  #bucketsOf(kind: LaunchKind) {
    const buckets = PHASES.map((phase) => [phase, this.histogram.of({ kind, phase })]);
    return Object.fromEntries(buckets) as Record<Phase, ReturnType<Histogram['of']>>;
  }
}

/** Seconds that `work` takes, beside what it gives. */
export async function timed<T>(work: () => Promise<T>): Promise<[seconds: number, result: T]> {
  const begin = performance.now();
  const result = await work();
  return [(performance.now() - begin) / 1000, result];
}
