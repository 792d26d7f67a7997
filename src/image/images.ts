import { mkdir } from 'node:fs/promises';
import { CoracleError, messageOf, notFound, throwIfAborted } from '../errors.ts';
import type { RegistryAuth } from './auth.ts';
import { Collector } from './collect.ts';
import { ContentStore } from './content-store.ts';
import { type ImageFsInfo, imageFsInfo } from './fs-info.ts';
import { Holds } from './holds.ts';
import { type ImageRecord, imageMetadata, type MetadataStore } from './image-store.ts';
import { importImages } from './import.ts';
import { InFlight } from './in-flight.ts';
import type { InstallParts } from './install.ts';
import { type ImageAddon, LayerDirectories } from './layers.ts';
import { type Lease, Leases } from './leases.ts';
import { filterImages, findImage } from './lookup.ts';
import { MAX_CONFIG_BYTES } from './manifest.ts';
import { hostPlatform, type Platform } from './platform.ts';
import { type PullProgress, pullImage } from './pull.ts';
import { ImageRecords, type ImageStatus, statusOf } from './records.ts';
import { formatReference, parseReference } from './reference.ts';
import { Registries } from './registry.ts';
import { Unpacker } from './unpack.ts';

export type { RegistryAuth } from './auth.ts';
export type { ImageFsInfo } from './fs-info.ts';
export type { PullProgress } from './pull.ts';
export type { ImageStatus } from './records.ts';

export interface ImagesOptions {
  /** The runtime's root directory: gets `blobs/`, `ingest/` and `layers/`. */
  root: string;
  store: MetadataStore;
  native: ImageAddon;
  /** Default: this host's. */
  platform?: Platform;
  /** Told what could not be removed; the next removal and the next start try again. */
  onLeftover?: (error: unknown) => void;
}

export interface PullOptions {
  auth?: RegistryAuth | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: PullProgress) => void) | undefined;
}

/** Holds removed images after a restart, until the containers that use them have said so. */
const RECOVERY = '(recovery)';

/**
 * The images of one root directory. What `status` and `list` show is whole: recorded durably, all
 * its layers unpacked. One process at a time may have a root open.
 */
export class ImageService {
  readonly #root: string;
  readonly #parts: InstallParts & { layers: LayerDirectories };
  readonly #leases: Leases;
  readonly #holds: Holds;
  readonly #onLeftover: (error: unknown) => void;
  readonly #registries = new Registries({
    configDirs: ['/etc/coracle/certs.d'],
    progressTimeoutMs: 300_000,
  });
  readonly #pulls = new InFlight<ImageRecord>();

  constructor(
    root: string,
    parts: InstallParts & { layers: LayerDirectories },
    leases: Leases,
    holds: Holds,
    onLeftover: (error: unknown) => void,
  ) {
    this.#root = root;
    this.#parts = parts;
    this.#leases = leases;
    this.#holds = holds;
    this.#onLeftover = onLeftover;
  }

  /**
   * Pulls an image by tag or digest, also where it is there already: a tag may have moved. Callers
   * that want the same at once share one pull, and its progress is the first one's.
   */
  async pull(name: string, options: PullOptions = {}): Promise<{ imageRef: string }> {
    const { auth, signal, onProgress } = options;
    const reference = parseReference(name);
    const key = JSON.stringify([formatReference(reference), auth ?? null]);
    const record = await this.#pulls.run(key, signal, (shared) =>
      this.#leased((lease) =>
        pullImage(this.#parts, this.#registries, { reference, auth, onProgress }, lease, shared),
      ),
    );
    return { imageRef: record.id };
  }

  /** Imports an OCI layout or a `docker save` archive; returns a name, or the id, of each image. */
  async import(
    path: string,
    options: { signal?: AbortSignal; tag?: string } = {},
  ): Promise<string[]> {
    throwIfAborted(options.signal);
    const signal = options.signal ?? new AbortController().signal;
    const tag = options.tag === undefined ? undefined : parseReference(options.tag);
    if (tag?.digest !== undefined) {
      throw new CoracleError('InvalidArgument', `tag ${JSON.stringify(options.tag)}: has a digest`);
    }
    const records = await this.#leased((lease) =>
      importImages(this.#parts, path, tag, lease, signal),
    );
    return records.map((record) => (tag ? formatReference(tag) : (record.tags[0] ?? record.id)));
  }

  /**
   * All images, or those that `filter.image` means: an id or a prefix of ids, a name with tag or
   * digest, or a repository, "quay.io/team/tool", for all of its images.
   */
  list(filter: { image?: string } = {}): ImageStatus[] {
    const all = this.#parts.records.visible();
    return (filter.image ? filterImages(all, filter.image) : all).map(statusOf);
  }

  /** By id, tag, digest or unique prefix of the id. Throws FailedPrecondition if ambiguous. */
  status(name: string): ImageStatus | undefined {
    const record = findImage(this.#parts.records.visible(), name);
    return record && statusOf(record);
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
   * that containers hold, which go with the last of them. An image that is not there is no error.
   */
  async remove(name: string): Promise<void> {
    const record = findImage(this.#parts.records.visible(), name);
    if (record === undefined) return;
    await this.#parts.records.hide(record.id, () => this.#holds.has(record.id));
    await this.#parts.collector.sweep();
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

  /** Keeps the image's layers for a container, until it is released. */
  hold(imageId: string, holder: string): void {
    this.#holds.add(imageId, holder);
  }

  /** Layers of a removed image that nobody holds any more are freed in the background. */
  release(imageId: string, holder: string): void {
    if (!this.#holds.remove(imageId, holder)) return;
    if (this.#parts.records.get(imageId)?.removed !== true) return;
    this.#parts.collector.sweep().catch(this.#onLeftover);
  }

  /** To be called once after a restart, when every container holds its image again. */
  async recovered(): Promise<void> {
    for (const record of this.#parts.records.all()) this.#holds.remove(record.id, RECOVERY);
    await this.#parts.collector.sweep().catch(this.#onLeftover);
  }

  fsInfo(): Promise<ImageFsInfo> {
    return imageFsInfo(this.#root, this.#parts.content, this.#parts.layers);
  }

  /** Aborts pulls, waits for what is under way to end, closes connections to registries. */
  async close(): Promise<void> {
    const reason = new CoracleError('Unavailable', 'the runtime is closing');
    await this.#pulls.drain(reason);
    await this.#parts.unpacker.drain(reason);
    await this.#parts.collector.idle();
    await this.#registries.close();
  }

  /**
   * What a failed pull has brought stays for the next try, until anything is removed; then it is
   * swept, as it is at the next start.
   */
  async #leased<T>(work: (lease: Lease) => Promise<T>): Promise<T> {
    const lease = this.#leases.open();
    try {
      return await work(lease);
    } catch (error) {
      throw diskError(error);
    } finally {
      lease.end();
    }
  }
}

/** Opens the images of a root directory and throws away what a crash has left half made. */
export async function openImages(options: ImagesOptions): Promise<ImageService> {
  const { root, native, onLeftover = () => {} } = options;
  await mkdir(root, { recursive: true, mode: 0o711 });
  const metadata = imageMetadata(options.store);
  const content = await ContentStore.open(root);
  const layers = await LayerDirectories.open(root, metadata, native, onLeftover);
  const records = new ImageRecords(metadata);
  const leases = new Leases();
  const holds = new Holds();
  for (const record of records.all()) {
    if (!(await isWhole(record, content, layers))) await records.drop(record.id);
    else if (record.removed) holds.add(record.id, RECOVERY);
  }
  const collector = new Collector({ content, layers, records, leases, holds });
  await collector.sweep().catch(onLeftover);
  const unpacker = new Unpacker(content, layers, native);
  const platform = options.platform ?? hostPlatform();
  const parts = { content, layers, records, collector, unpacker, platform };
  return new ImageService(root, parts, leases, holds, onLeftover);
}

async function isWhole(
  record: ImageRecord,
  content: ContentStore,
  layers: LayerDirectories,
): Promise<boolean> {
  if (record.chain.some((chainId) => layers.get(chainId) === undefined)) return false;
  const sizes = await Promise.all(record.blobs.map((digest) => content.size(digest)));
  return sizes.every((size) => size !== undefined);
}

function diskError(error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  if (error instanceof CoracleError || (code !== 'ENOSPC' && code !== 'EDQUOT')) return error;
  return new CoracleError('ResourceExhausted', messageOf(error), {
    cause: error,
    reason: 'DiskFull',
  });
}
