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
}

/** The image records, with the changes that must not interleave. */
export class ImageRecords {
  readonly #metadata: ImageMetadata;
  readonly #writes = new Mutex();

  constructor(metadata: ImageMetadata) {
    this.#metadata = metadata;
  }

  /** Including removed ones that containers still use. */
  get(id: string): ImageRecord | undefined {
    return this.#metadata.images.get(id);
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
    return this.#writes.run(async () => {
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
      await this.#metadata.durable();
      return merged;
    });
  }

  /** Takes the image out of sight; `keep` leaves its record for those that use its layers. */
  hide(id: Digest, keep: () => boolean): Promise<void> {
    return this.#writes.run(async () => {
      const record = this.get(id);
      if (record === undefined || record.removed) return;
      if (keep()) {
        const hidden = { ...record, tags: [], digests: [], blobs: [], removed: true };
        await this.#metadata.images.put(id, hidden);
      } else {
        await this.#metadata.images.remove(id);
      }
      await this.#metadata.durable();
    });
  }

  /** Deletes a record that is out of sight and that nothing uses. */
  forget(id: Digest, unused: () => boolean): Promise<void> {
    return this.#writes.run(async () => {
      if (this.get(id)?.removed && unused()) await this.#metadata.images.remove(id);
    });
  }

  /** Deletes the record of an image whose files have been lost. */
  drop(id: Digest): Promise<void> {
    return this.#writes.run(() => this.#metadata.images.remove(id));
  }
}

export function statusOf(record: ImageRecord): ImageStatus {
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
  };
}

function union<T>(a: readonly T[] | undefined, b: readonly T[]): T[] {
  return [...new Set([...(a ?? []), ...b])];
}
