import type { ContentStore } from './content-store.ts';
import type { Holds } from './holds.ts';
import type { LayerDirectories } from './layers.ts';
import type { Leases } from './leases.ts';
import { Mutex } from './mutex.ts';
import type { ImageRecords } from './records.ts';

/** Frees what no image, no container and no pull needs. */
export class Collector {
  readonly #content: ContentStore;
  readonly #layers: LayerDirectories;
  readonly #records: ImageRecords;
  readonly #leases: Leases;
  readonly #holds: Holds;
  readonly #sweeps = new Mutex();

  constructor(parts: {
    content: ContentStore;
    layers: LayerDirectories;
    records: ImageRecords;
    leases: Leases;
    holds: Holds;
  }) {
    this.#content = parts.content;
    this.#layers = parts.layers;
    this.#records = parts.records;
    this.#leases = parts.leases;
    this.#holds = parts.holds;
  }

  /** Resolves when the space is free. */
  sweep(): Promise<void> {
    return this.#sweeps.run(async () => {
      for (const { id, removed } of this.#records.all()) {
        if (removed) await this.#records.forget(id, () => !this.#holds.has(id));
      }
      const images = this.#records.all();
      const chains = new Set<string>(images.flatMap((image) => image.chain));
      // Uppermost first: a crash in between leaves no layer without the ones below it.
      const byHeight = this.#layers.list().reverse();
      for (const layer of byHeight) {
        // Asked again each time: a pull may have taken a lease during the removal before.
        if (chains.has(layer.chainId) || this.#leases.has(layer.chainId)) continue;
        await this.#layers.remove(layer);
      }
      const blobs = new Set<string>(images.flatMap((image) => image.blobs));
      for (const digest of await this.#content.list()) {
        if (blobs.has(digest) || this.#leases.has(digest)) continue;
        await this.#content.remove(digest);
      }
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
