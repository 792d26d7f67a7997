import type { ContentStore } from './content-store.ts';
import type { Digest } from './digest.ts';
import type { Holds } from './holds.ts';
import type { LayerDirectories } from './layers.ts';
import type { Leases } from './leases.ts';
import { Mutex } from './mutex.ts';
import type { ImageRecords } from './records.ts';

export interface SweepOptions {
  /**
   * Leave what came within so many ms and has never been an image's: pulls that were cut off may
   * go on with it. Default: nothing.
   */
  spare?: number;
}

/** Frees what no image, no container and no pull needs. */
export class Collector {
  readonly #content: ContentStore;
  readonly #layers: LayerDirectories;
  readonly #records: ImageRecords;
  readonly #leases: Leases;
  readonly #holds: Holds;
  readonly #onProblem: (error: unknown) => void;
  readonly #sweeps = new Mutex();

  constructor(parts: {
    content: ContentStore;
    layers: LayerDirectories;
    records: ImageRecords;
    leases: Leases;
    holds: Holds;
    /** Told what once could not be removed and still cannot. */
    onProblem: (error: unknown) => void;
  }) {
    this.#content = parts.content;
    this.#layers = parts.layers;
    this.#records = parts.records;
    this.#leases = parts.leases;
    this.#holds = parts.holds;
    this.#onProblem = parts.onProblem;
  }

  /**
   * Resolves when the space is free. Something that cannot be removed keeps nothing else from
   * being removed; then this rejects with the first error, and a later sweep tries again.
   */
  sweep({ spare }: SweepOptions = {}): Promise<void> {
    return this.#sweeps.run(async () => {
      await this.#layers.removeDebris().catch(this.#onProblem);
      const errors: unknown[] = [];
      const attempt = (work: Promise<void>) => work.catch((error) => void errors.push(error));
      for (const { id, removed } of this.#records.all()) {
        if (removed) await attempt(this.#records.forget(id, () => !this.#holds.has(id)));
      }
      const before = spare === undefined ? Number.POSITIVE_INFINITY : Date.now() - spare;
      const mayStay = (key: Digest, since: number) =>
        since > before && !this.#records.isDoomed(key);
      // What is in use is asked for each piece anew: during the removal before, a pull may have
      // taken a lease, or ended its own because an image now has what it brought.
      for (const layer of this.#layers.list()) {
        const { chainId } = layer;
        if (this.#records.used.layers.has(chainId) || this.#leases.has(chainId)) continue;
        if (mayStay(chainId, this.#layers.since(chainId))) continue;
        await attempt(this.#layers.remove(layer).then(() => this.#records.isGone(chainId)));
      }
      for (const digest of this.#content.list()) {
        if (this.#records.used.blobs.has(digest) || this.#leases.has(digest)) continue;
        if (mayStay(digest, this.#content.since(digest))) continue;
        await attempt(this.#content.remove(digest).then(() => this.#records.isGone(digest)));
      }
      for (const digest of this.#content.partials()) {
        if (this.#leases.has(digest) || mayStay(digest, this.#content.since(digest))) continue;
        await attempt(this.#content.removePartial(digest));
      }
      if (errors.length > 0) throw errors[0];
    });
  }

  /**
   * To be awaited after a lease has been taken and before its blob or layer is looked for: a sweep
   * that had seen no lease may be deleting it just now.
   */
  idle(): Promise<void> {
    return this.#sweeps.idle();
  }
}
