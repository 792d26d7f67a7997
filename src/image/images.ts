import { CoracleError, invalid, messageOf, notFound, throwIfAborted } from '../errors.ts';
import type { RegistryAuth } from './auth.ts';
import { isDigest } from './digest.ts';
import { diskError, lacksSpace } from './disk-error.ts';
import { type ImageFsInfo, imageFsInfo } from './fs-info.ts';
import type { Holds } from './holds.ts';
import type { ImageRecord } from './image-store.ts';
import { type ImportParts, importImages } from './import.ts';
import { InFlight } from './in-flight.ts';
import type { LayerDirectories } from './layers.ts';
import type { Lease, Leases } from './leases.ts';
import { filterImages, findImage } from './lookup.ts';
import { MAX_CONFIG_BYTES } from './manifest.ts';
import type { PullMetrics, PullMetricsSnapshot } from './metrics.ts';
import type { PinnedImages } from './pinned.ts';
import type { PullProgress } from './progress.ts';
import { type PullParts, type PullRequest, pullImage } from './pull.ts';
import { PullTracker } from './pull-tracker.ts';
import { type ImageStatus, statusOf } from './records.ts';
import { formatReference, parseReference, type Reference } from './reference.ts';
import type { Registries } from './registry.ts';

export type { RegistryAuth } from './auth.ts';
export type { ImageFsInfo } from './fs-info.ts';
export type { PullMetricsSnapshot } from './metrics.ts';
export type { LayerProgress, PullProgress } from './progress.ts';
export type { ImageStatus } from './records.ts';

export interface PullOptions {
  auth?: RegistryAuth | undefined;
  signal?: AbortSignal | undefined;
  /** Called at most about 20 times a second, and at last before the pull resolves. */
  onProgress?: ((progress: PullProgress) => void) | undefined;
}

export interface ServiceParts extends PullParts, ImportParts {
  readonly root: string;
  readonly layers: LayerDirectories;
  readonly leases: Leases;
  readonly holds: Holds;
  readonly registries: Registries;
  readonly metrics: PullMetrics;
  readonly pinned: PinnedImages;
  readonly onProblem: (error: unknown) => void;
}

/** Holds removed images after a restart, until the containers that use them have said so. */
export const RECOVERY = '(recovery)';
/** What a pull has left that was cut off waits so long for the next one, ms. */
export const KEEP_REMNANTS = 24 * 3_600_000;
/** How often remnants are looked through, ms. */
const REMNANTS_INTERVAL = 3_600_000;

/**
 * The images of one root directory. What `status` and `list` show is whole: recorded durably, all
 * its layers unpacked. One process at a time may have a root open.
 */
export class ImageService {
  readonly #parts: ServiceParts;
  readonly #pulls = new InFlight<ImageRecord>();
  /** Of the pulls that can be joined, by their key. */
  readonly #trackers = new Map<string, PullTracker>();
  readonly #imports = new InFlight<ImageRecord[]>();
  #importCount = 0;
  #recovered = false;
  readonly #remnantsTimer: NodeJS.Timeout;

  constructor(parts: ServiceParts) {
    this.#parts = parts;
    const { collector, onProblem } = parts;
    this.#remnantsTimer = setInterval(() => {
      collector.sweep({ spare: KEEP_REMNANTS }).catch(onProblem);
    }, REMNANTS_INTERVAL).unref();
  }

  /**
   * Pulls an image by tag or digest, also where it is there already: a tag may have moved. Callers
   * that want the same with the same credentials at once share one pull, each with its own signal
   * and its own reports. Throws what `pullImage` does, ResourceExhausted (DiskFull), Cancelled.
   */
  async pull(name: string, options: PullOptions = {}): Promise<{ imageRef: string }> {
    const { auth, signal, onProgress } = options;
    if (isDigest(name)) throw invalid('image', name, 'is the id of an image; a pull takes a name');
    const reference = parseReference(name);
    const access = JSON.stringify([reference.registry, auth ?? null]);
    const key = JSON.stringify([formatReference(reference), auth ?? null]);
    const own = new AbortController();
    const either = signal ? AbortSignal.any([signal, own.signal]) : own.signal;
    const done = this.#pulls.run(key, either, (shared, before) => {
      const tracker = new PullTracker();
      this.#trackers.set(key, tracker);
      const repository = this.#parts.registries.repository(reference, auth);
      return this.#pull(key, { reference, repository, access, tracker }, shared, before);
    });
    const stop = this.#trackers.get(key)?.listen((progress) => {
      try {
        onProgress?.(progress);
      } catch (error) {
        // Its own caller's fault, and nobody else's who waits for this pull.
        own.abort(error);
      }
    });
    try {
      return { imageRef: (await done).id };
    } finally {
      stop?.();
    }
  }

  /** Imports an OCI layout or a `docker save` archive; returns a name, or the id, of each image. */
  async import(
    path: string,
    options: { signal?: AbortSignal; tag?: string } = {},
  ): Promise<string[]> {
    throwIfAborted(options.signal);
    const tag = options.tag === undefined ? undefined : parseTag(options.tag);
    // Nobody joins an import: each has a key of its own.
    this.#importCount += 1;
    const records = await this.#imports.run(String(this.#importCount), options.signal, (signal) =>
      this.#leased(
        path,
        (lease) => importImages(this.#parts, path, tag, lease, signal),
        (lease) => lease.keys(),
      ),
    );
    return records.map((record) => (tag ? formatReference(tag) : (record.tags[0] ?? record.id)));
  }

  /**
   * All images, or those that `filter.image` means: an id or a prefix of ids, a name with tag or
   * digest, or a repository, "quay.io/team/tool", for all of its images.
   */
  list(filter: { image?: string } = {}): ImageStatus[] {
    const all = this.#parts.records.visible();
    return (filter.image ? filterImages(all, filter.image) : all).map((record) =>
      this.#statusOf(record),
    );
  }

  /** By id, tag, digest or unique prefix of the id. Throws FailedPrecondition if ambiguous. */
  status(name: string): ImageStatus | undefined {
    const record = findImage(this.#parts.records.visible(), name);
    return record && this.#statusOf(record);
  }

  /**
   * What an image is made of: its configuration blob as its builder wrote it (OCI image
   * specification 1.1, config.md), and the chain id of its topmost layer, "" if it has none.
   * Throws NotFound, also for an image that is removed meanwhile.
   */
  async describe(imageId: string): Promise<{ chainId: string; document: unknown }> {
    const record = this.#parts.records.get(imageId);
    if (record === undefined || record.removed) throw notFound('image', imageId);
    const bytes = await this.#parts.content.read(record.id, MAX_CONFIG_BYTES);
    return { chainId: record.chain.at(-1) ?? '', document: JSON.parse(bytes.toString('utf8')) };
  }

  /**
   * Removes the image with all its names; its space is free when this resolves, but for the layers
   * that containers hold, which go with the last of them. What pulls that were cut off have left
   * goes, too: who removes images wants space. An image that is not there is no error.
   */
  async remove(name: string): Promise<void> {
    const { records, collector, holds } = this.#parts;
    const record = findImage(records.visible(), name);
    if (record) await records.hide(record.id, () => holds.has(record.id));
    // Also of one that is not there: a removal that a crash has cut off left its files.
    await collector.sweep();
  }

  /**
   * The layer directories for an overlay mount, topmost first, relative to the root; never empty.
   * Also for a removed image that is held. Throws NotFound.
   */
  layersOf(imageId: string): string[] {
    const record = this.#parts.records.get(imageId);
    if (record === undefined) throw notFound('image', imageId);
    return this.#parts.layers.stack(record.chain);
  }

  /**
   * Keeps the image's layers for a container, until it is released. Throws NotFound for an image
   * that is gone; not before `recovered`, since a container outlives the loss of its image.
   */
  hold(imageId: string, holder: string): void {
    const { records, holds } = this.#parts;
    if (this.#recovered && records.get(imageId) === undefined) throw notFound('image', imageId);
    holds.add(imageId, holder);
  }

  /** Layers of a removed image that nobody holds any more are freed in the background. */
  release(imageId: string, holder: string): void {
    const { records, holds, collector, onProblem } = this.#parts;
    if (!holds.remove(imageId, holder)) return;
    if (records.get(imageId)?.removed !== true) return;
    collector.sweep({ spare: KEEP_REMNANTS }).catch(onProblem);
  }

  /** To be called once after a restart, when every container holds its image again. */
  async recovered(): Promise<void> {
    const { records, holds, collector, onProblem } = this.#parts;
    for (const record of records.all()) holds.remove(record.id, RECOVERY);
    this.#recovered = true;
    await collector.sweep({ spare: KEEP_REMNANTS }).catch(onProblem);
  }

  fsInfo(): ImageFsInfo {
    const { root, content, layers } = this.#parts;
    return imageFsInfo(root, content, layers);
  }

  /** What became of pulls since this was opened. */
  metrics(): PullMetricsSnapshot {
    return this.#parts.metrics.snapshot();
  }

  /** Aborts pulls, waits for what is under way to end, closes connections to registries. */
  async close(): Promise<void> {
    clearInterval(this.#remnantsTimer);
    const { downloads, unpacker, collector, registries } = this.#parts;
    const reason = new CoracleError('Unavailable', 'the runtime is closing');
    const busy = [this.#pulls, this.#imports, downloads, unpacker];
    await Promise.all(busy.map((each) => each.drain(reason)));
    await collector.idle();
    await registries.close();
  }

  async #pull(
    key: string,
    request: PullRequest,
    signal: AbortSignal,
    before: Promise<void>,
  ): Promise<ImageRecord> {
    try {
      return await this.#parts.metrics.measure(signal, async () => {
        await before;
        throwIfAborted(signal);
        const what = formatReference(request.reference);
        return this.#leased(what, (lease) => pullImage(this.#parts, request, lease, signal));
      });
    } finally {
      request.tracker.end();
      if (this.#trackers.get(key) === request.tracker) this.#trackers.delete(key);
    }
  }

  /**
   * What a failed pull has brought stays for the next try; see `remove` and KEEP_REMNANTS for how
   * long. `worthless` tells what of it no next try would want. Where the disk is full all of it
   * goes, since others need the space.
   */
  async #leased<T>(
    what: string,
    work: (lease: Lease) => Promise<T>,
    worthless: (lease: Lease) => string[] = () => [],
  ): Promise<T> {
    const { leases, records, collector, onProblem } = this.#parts;
    const lease = leases.open();
    try {
      return await work(lease);
    } catch (error) {
      const failure = diskError(error, what);
      const full = lacksSpace(failure);
      const doomed = worthless(lease);
      lease.end();
      records.doom(doomed);
      if (full) await collector.sweep().catch(onProblem);
      else if (doomed.length > 0) await collector.sweep({ spare: KEEP_REMNANTS }).catch(onProblem);
      throw failure;
    } finally {
      lease.end();
    }
  }

  #statusOf(record: ImageRecord): ImageStatus {
    return statusOf(record, this.#parts.pinned.has(record));
  }
}

/** The name that an imported image gets. Throws InvalidArgument. */
function parseTag(text: string): Reference {
  try {
    const tag = parseReference(text);
    if (tag.digest === undefined) return tag;
  } catch (error) {
    throw new CoracleError('InvalidArgument', `tag: ${messageOf(error)}`, { cause: error });
  }
  throw invalid('tag', text, 'has a digest');
}
