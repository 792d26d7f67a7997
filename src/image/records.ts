import type { ImageConfig } from '../spec/config.ts';
import { imageUser } from './config.ts';
import type { Digest } from './digest.ts';
import type { ImageMetadata, ImageRecord } from './image-store.ts';
import { Mutex } from './mutex.ts';

/** An image as callers see it. A snapshot: it never changes. */
export interface ImageStatus {
  /** "sha256:…", the digest of the image's configuration. */
  readonly id: string;
  /** "docker.io/library/busybox:latest" */
  readonly repoTags: readonly string[];
  /** "docker.io/library/busybox@sha256:…" */
  readonly repoDigests: readonly string[];
  /** Bytes of its blobs as stored: what a pull of it moves. */
  readonly size: number;
  readonly config: ImageConfig;
  /** The user that the image runs as, where that is a number; else `username`, maybe empty. */
  readonly uid: number | undefined;
  readonly username: string;
  readonly os: string;
  readonly architecture: string;
  /** Unix time in ms. */
  readonly pulledAt: number;
  /** Garbage collectors are to leave it alone: its name is among the pinned ones. */
  readonly pinned: boolean;
}

/** The image records, with the changes that must not interleave. */
export class ImageRecords {
  readonly #metadata: ImageMetadata;
  readonly #writes = new Mutex();
  /** Images whose records are being deleted: nobody may begin to use them any more. */
  readonly #going = new Set<string>();
  /** Blobs and layers that are not to be kept for a later pull, once nothing uses them. */
  readonly #doomed = new Set<string>();
  /** What all images have, removed ones included; made when it is asked for. */
  #used: { blobs: Set<Digest>; layers: Set<Digest> } | undefined;

  constructor(metadata: ImageMetadata) {
    this.#metadata = metadata;
  }

  /** Including removed ones that containers still use. */
  get(id: string): ImageRecord | undefined {
    return this.#going.has(id) ? undefined : this.#metadata.images.get(id);
  }

  /** Digests of blobs and chain ids of layers that belong to images, removed ones included. */
  get used(): { readonly blobs: ReadonlySet<Digest>; readonly layers: ReadonlySet<Digest> } {
    if (this.#used === undefined) {
      const all = this.all();
      this.#used = {
        blobs: new Set(all.flatMap((image) => image.blobs)),
        layers: new Set(all.flatMap((image) => image.chain)),
      };
    }
    return this.#used;
  }

  /** Gives up blobs and layers, by digest and chain id, that no later pull will want. */
  doom(keys: Iterable<string>): void {
    for (const key of keys) this.#doomed.add(key);
  }

  /** True also for what belonged to an image that was removed. */
  isDoomed(key: string): boolean {
    return this.#doomed.has(key);
  }

  /** A blob or layer is no more, or belongs to an image again. */
  isGone(key: string): void {
    this.#doomed.delete(key);
  }

  all(): ImageRecord[] {
    return [...this.#metadata.images.entries()].map(([, record]) => record);
  }

  visible(): ImageRecord[] {
    return this.all().filter((record) => !record.removed);
  }

  /**
   * Records an image under its names, as one transaction with taking the tags from whatever had
   * them; durable when this resolves. Names that the image has already stay.
   */
  add(record: ImageRecord): Promise<ImageRecord> {
    return this.#change(async () => {
      const known = this.get(record.id);
      const before = known?.removed ? undefined : known;
      const merged: ImageRecord = {
        ...record,
        tags: union(before?.tags, record.tags),
        digests: union(before?.digests, record.digests),
        blobs: union(before?.blobs, record.blobs),
        removed: false,
      };
      const losers = this.all().filter(
        (other) => other.id !== record.id && other.tags.some((tag) => record.tags.includes(tag)),
      );
      await this.#metadata.transact(() => {
        for (const other of losers) {
          const tags = other.tags.filter((tag) => !record.tags.includes(tag));
          void this.#metadata.images.put(other.id, { ...other, tags });
        }
        void this.#metadata.images.put(record.id, merged);
      });
      for (const key of [...merged.blobs, ...merged.chain]) this.isGone(key);
      await this.#metadata.durable();
      return merged;
    });
  }

  /** Takes the image out of sight; `keep` leaves its record for those that use its layers. */
  hide(id: Digest, keep: () => boolean): Promise<void> {
    return this.#change(async () => {
      const record = this.get(id);
      if (record === undefined || record.removed) return;
      if (keep()) {
        const hidden = { ...record, tags: [], digests: [], blobs: [], removed: true };
        await this.#metadata.images.put(id, hidden);
        this.doom(record.blobs);
      } else {
        await this.#delete(id);
      }
      await this.#metadata.durable();
    });
  }

  /** Deletes a record that is out of sight and that nothing uses. */
  forget(id: Digest, unused: () => boolean): Promise<void> {
    return this.#change(async () => {
      if (this.get(id)?.removed && unused()) await this.#delete(id);
    });
  }

  async #delete(id: Digest): Promise<void> {
    const record = this.get(id);
    this.#going.add(id);
    try {
      await this.#metadata.images.remove(id);
      this.doom([...(record?.blobs ?? []), ...(record?.chain ?? [])]);
    } finally {
      this.#going.delete(id);
    }
  }

  #change<T>(work: () => Promise<T>): Promise<T> {
    return this.#writes.run(async () => {
      try {
        return await work();
      } finally {
        this.#used = undefined;
      }
    });
  }
}

export function statusOf(record: ImageRecord, pinned: boolean): ImageStatus {
  return {
    id: record.id,
    repoTags: record.tags,
    repoDigests: record.digests,
    size: record.size,
    config: record.config,
    ...imageUser(record.config.user),
    os: record.os,
    architecture: record.architecture,
    pulledAt: record.pulledAt,
    pinned,
  };
}

function union<T>(a: readonly T[] | undefined, b: readonly T[]): T[] {
  return [...new Set([...(a ?? []), ...b])];
}
