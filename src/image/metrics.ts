/** What became of pulls since the start. A snapshot; counters only grow (IM-12). */
export interface PullMetricsSnapshot {
  /** Pulls under way; callers that share one count once. */
  readonly inProgress: number;
  readonly succeeded: number;
  /** Not those that all their callers gave up. */
  readonly failed: number;
  readonly cancelled: number;
  /** Bytes of blobs that came from registries, also for pulls that failed. */
  readonly bytes: number;
  /** Seconds that ended pulls took, and those of them that succeeded. */
  readonly seconds: number;
  readonly succeededSeconds: number;
}

/** Counts pulls. */
export class PullMetrics {
  #inProgress = 0;
  #succeeded = 0;
  #failed = 0;
  #cancelled = 0;
  #bytes = 0;
  #seconds = 0;
  #succeededSeconds = 0;

  /** Counts one pull from now until it settles. */
  async measure<T>(signal: AbortSignal, pull: () => Promise<T>): Promise<T> {
    const began = performance.now();
    this.#inProgress += 1;
    let outcome: 'succeeded' | 'failed' | 'cancelled' = 'failed';
    try {
      const result = await pull();
      outcome = 'succeeded';
      return result;
    } catch (error) {
      if (signal.aborted) outcome = 'cancelled';
      throw error;
    } finally {
      const seconds = (performance.now() - began) / 1000;
      this.#inProgress -= 1;
      this.#seconds += seconds;
      if (outcome === 'succeeded') {
        this.#succeeded += 1;
        this.#succeededSeconds += seconds;
      } else if (outcome === 'cancelled') this.#cancelled += 1;
      else this.#failed += 1;
    }
  }

  received(bytes: number): void {
    this.#bytes += bytes;
  }

  snapshot(): PullMetricsSnapshot {
    return {
      inProgress: this.#inProgress,
      succeeded: this.#succeeded,
      failed: this.#failed,
      cancelled: this.#cancelled,
      bytes: this.#bytes,
      seconds: this.#seconds,
      succeededSeconds: this.#succeededSeconds,
    };
  }
}
