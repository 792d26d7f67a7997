/** CPU cores in use, from what two readings of the total CPU time have between them. */

/** Readings are kept as the beginning of a window from this time on, ns. */
const WINDOW = 1_000_000_000n;
/** The least time that makes a rate, ns; the kernel adds up CPU time every few ms. */
const MIN_WINDOW = 90_000_000n;
/** A reading older than this tells nothing of now, ns. */
const MAX_WINDOW = 120_000_000_000n;
/** What started within this time is rated since its start, ns. */
const MAX_SINCE_START = 10_000_000_000n;

/** CPU time, ns, as it was read at a time of CLOCK_MONOTONIC, ns. */
export interface CpuReading {
  readonly at: bigint;
  readonly total: bigint;
}

interface Readings {
  /** At least WINDOW before `latest`. */
  previous?: CpuReading;
  latest: CpuReading;
}

/**
 * The last two readings of each cgroup that somebody asks for. Nothing is read in between: a rate
 * is the mean since the last time that somebody asked, or, if that was within the last second,
 * since the time before.
 */
export class CpuRates {
  readonly #readings = new Map<string, Readings>();
  #prunedAt = 0n;

  /**
   * Takes a reading and returns billionths of a core: nanoseconds of CPU time in each second.
   * Undefined where there is nothing to compare it with. `age` is how long the cgroup has had
   * processes, ns, where that is known.
   */
  take(cgroup: string, reading: CpuReading, age?: bigint): bigint | undefined {
    this.#prune(reading.at);
    const known = this.#readings.get(cgroup);
    const fresh = known && reading.at - known.latest.at <= MAX_WINDOW ? known : undefined;
    if (fresh === undefined) {
      this.#readings.set(cgroup, { latest: reading });
      return sinceStart(reading, age);
    }
    if (reading.at - fresh.latest.at >= WINDOW) {
      this.#readings.set(cgroup, { previous: fresh.latest, latest: reading });
      return rateOf(fresh.latest, reading);
    }
    return rateOf(fresh.previous ?? fresh.latest, reading) ?? sinceStart(reading, age);
  }

  /** For tests. */
  get size(): number {
    return this.#readings.size;
  }

  #prune(now: bigint): void {
    if (now - this.#prunedAt < MAX_WINDOW) return;
    this.#prunedAt = now;
    for (const [cgroup, { latest }] of this.#readings) {
      if (now - latest.at > MAX_WINDOW) this.#readings.delete(cgroup);
    }
  }
}

function sinceStart(reading: CpuReading, age: bigint | undefined): bigint | undefined {
  if (age === undefined || age > MAX_SINCE_START) return undefined;
  return rateOf({ at: reading.at - age, total: 0n }, reading);
}

/** Undefined for a total that went back: another cgroup of the same name. */
function rateOf(from: CpuReading, to: CpuReading): bigint | undefined {
  if (to.at - from.at < MIN_WINDOW || to.total < from.total) return undefined;
  return ((to.total - from.total) * 1_000_000_000n) / (to.at - from.at);
}
