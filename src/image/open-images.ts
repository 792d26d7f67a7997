import { mkdir } from 'node:fs/promises';
import { CoracleError } from '../errors.ts';
import type { Addon } from '../native/types.ts';
import { Collector } from './collect.ts';
import { ContentStore } from './content-store.ts';
import { Downloads } from './downloads.ts';
import { Holds } from './holds.ts';
import { type ImageRecord, imageMetadata, type MetadataStore } from './image-store.ts';
import { ImageService, KEEP_REMNANTS, RECOVERY } from './images.ts';
import { type ImageAddon, LayerDirectories } from './layers.ts';
import { Leases } from './leases.ts';
import { PullMetrics } from './metrics.ts';
import { PinnedImages } from './pinned.ts';
import { hostPlatform, type Platform } from './platform.ts';
import { ImageRecords } from './records.ts';
import { Registries } from './registry.ts';
import { Unpacker } from './unpack.ts';

export interface ImagesOptions {
  /** The runtime's root directory: gets `blobs/`, `ingest/` and `layers/`. */
  root: string;
  store: MetadataStore;
  native: ImageAddon & Pick<Addon, 'decompressFile'>;
  /** Default: this host's. */
  platform?: Platform;
  /** Directories of `<host>/hosts.toml` files; default: none. */
  registryConfigDirs?: readonly string[];
  /** A pull that gets no byte for so long is given up, ms; 0 for never. Default: 300,000. */
  progressTimeoutMs?: number;
  /** Blobs that one pull fetches at once; default: 3. */
  maxDownloads?: number;
  /** Names of images that garbage collectors must not remove; default: none. */
  pinned?: readonly string[];
  /**
   * Layers that containers were made of, as `layersOf` gave them: these stay, even if the records
   * of their images were lost. Default: none.
   */
  usedLayers?: Iterable<string>;
  /**
   * Told of files that could not be removed, which every later removal and the next start try
   * again, and of images whose files are gone.
   */
  onProblem?: (error: unknown) => void;
}

/**
 * Opens the images of a root directory and throws away what a crash has left half made, but for
 * blobs and beginnings of blobs that a pull can go on with.
 */
export async function openImages(options: ImagesOptions): Promise<ImageService> {
  const { root, native, onProblem = () => {} } = options;
  const pinned = new PinnedImages(options.pinned ?? []);
  await mkdir(root, { recursive: true, mode: 0o711 });
  const metadata = imageMetadata(options.store);
  const content = await ContentStore.open(root);
  const inUse = new Set(options.usedLayers);
  const layers = await LayerDirectories.open(root, metadata, native, onProblem, inUse);
  const records = new ImageRecords(metadata);
  const leases = new Leases();
  // Layers of images whose records were lost. The next start asks again who needs them.
  const orphaned = leases.open();
  for (const { chainId } of layers.list()) {
    if (records.used.layers.has(chainId)) continue;
    if (inUse.has(layers.stack([chainId])[0] ?? '')) orphaned.add(chainId);
  }
  const holds = new Holds();
  for (const record of records.all()) {
    if (!record.removed && !isWhole(record, content, layers)) {
      // Not deleted yet: containers may run on what is left of it.
      await records.hide(record.id, () => true);
      onProblem(new CoracleError('DataLoss', `image ${record.id} has lost files, and is removed`));
    }
    if (records.get(record.id)?.removed) holds.add(record.id, RECOVERY);
  }
  const collector = new Collector({ content, layers, records, leases, holds, onProblem });
  await collector.sweep({ spare: KEEP_REMNANTS }).catch(onProblem);
  const metrics = new PullMetrics();
  return new ImageService({
    root,
    native,
    content,
    layers,
    records,
    leases,
    holds,
    collector,
    metrics,
    pinned,
    onProblem,
    unpacker: new Unpacker(content, layers, leases, native),
    downloads: new Downloads(content, metrics),
    platform: options.platform ?? hostPlatform(),
    maxDownloads: options.maxDownloads ?? 3,
    registries: new Registries({
      configDirs: options.registryConfigDirs ?? [],
      progressTimeoutMs: options.progressTimeoutMs ?? 300_000,
    }),
  });
}

function isWhole(record: ImageRecord, content: ContentStore, layers: LayerDirectories): boolean {
  return (
    record.chain.every((chainId) => layers.get(chainId) !== undefined) &&
    record.blobs.every((digest) => content.size(digest) !== undefined)
  );
}
