import { CoracleError, throwIfAborted } from '../errors.ts';
import type { Collector } from './collect.ts';
import { parseImageConfig } from './config.ts';
import type { ContentStore } from './content-store.ts';
import { chainIds, type Digest } from './digest.ts';
import { Gate } from './gate.ts';
import type { ImageRecord } from './image-store.ts';
import type { Lease } from './leases.ts';
import { type Descriptor, MAX_CONFIG_BYTES, type Manifest } from './manifest.ts';
import { formatPlatform, type Platform } from './platform.ts';
import type { PullTracker } from './pull-tracker.ts';
import type { ImageRecords } from './records.ts';
import type { Unpacker } from './unpack.ts';

export interface InstallParts {
  readonly content: ContentStore;
  readonly unpacker: Unpacker;
  readonly records: ImageRecords;
  readonly collector: Collector;
  readonly platform: Platform;
  /** Blobs that one image fetches at once. */
  readonly maxDownloads: number;
}

/** An image whose manifest is known, from wherever its blobs come. */
export interface Installable {
  manifest: Manifest;
  /** Blobs beside the manifest's own that its names lead to; stored and leased already. */
  documents: Digest[];
  tags: string[];
  digests: string[];
  /** For messages. */
  what: string;
  /** Bytes of the manifest itself. */
  manifestSize: number;
  /** Puts a blob into the content store; called only for blobs that are not there. */
  fetch(blob: Descriptor, signal: AbortSignal): Promise<void>;
  /** Where it is noted how far the image is. */
  tracker?: PullTracker;
}

/** A layer's tree may not take more than that (see unpack.ts), so its blob need not either. */
const MAX_BLOB_BYTES = 64 * 2 ** 30;
/** All blobs of an image. */
const MAX_IMAGE_BYTES = 256 * 2 ** 30;

/**
 * Gets the image's blobs, unpacks its layers while later ones are still on their way, and records
 * it. Until then nothing of it shows. The lease keeps everything while it lasts.
 */
export async function install(
  parts: InstallParts,
  image: Installable,
  lease: Lease,
  signal: AbortSignal,
): Promise<ImageRecord> {
  const { config, layers } = image.manifest;
  requireSizes([config, ...layers], image.what);
  image.tracker?.begin(image.manifest);
  for (const blob of [config, ...layers]) lease.add(blob.digest);
  await parts.collector.idle();

  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const gate = new Gate(parts.maxDownloads);
  const started = new Map<Digest, Promise<Digest>>();
  const have = (blob: Descriptor): Promise<Digest> => {
    let promise = started.get(blob.digest);
    if (promise === undefined) {
      promise = bring(parts, image, blob, gate, either);
      // Whoever awaits it meets the error; nobody may, once an earlier one has failed.
      promise.catch(() => undefined);
      started.set(blob.digest, promise);
    }
    return promise;
  };
  try {
    await have(config);
    const bytes = await parts.content.read(config.digest, MAX_CONFIG_BYTES);
    const document = parseImageConfig(bytes, `configuration of ${image.what}`);
    requirePlatform(document.platform, parts.platform, image.what);
    if (document.diffIds.length !== layers.length) {
      throw new CoracleError(
        'DataLoss',
        `${image.what}: ${layers.length} layers, but ${document.diffIds.length} diff ids`,
      );
    }
    const chain = chainIds(document.diffIds);
    for (const id of chain) lease.add(id);
    await parts.collector.idle();
    const stack = layers.map((layer, index) => ({
      diffId: document.diffIds[index] as Digest,
      blob: have(layer),
    }));
    await parts.unpacker.unpack(stack, image.what, either, image.tracker);
    throwIfAborted(signal);
    return await parts.records.add({
      id: config.digest,
      tags: image.tags,
      digests: image.digests,
      blobs: [...new Set([...image.documents, config.digest, ...layers.map((l) => l.digest)])],
      chain,
      size: layers.reduce((sum, layer) => sum + layer.size, image.manifestSize + config.size),
      config: document.config,
      architecture: document.platform.architecture,
      os: document.platform.os,
      pulledAt: Date.now(),
      removed: false,
    });
  } catch (error) {
    stop.abort(error);
    await Promise.allSettled(started.values());
    throw error;
  }
}

/** Sees to it that a blob is in the content store. */
async function bring(
  parts: InstallParts,
  image: Installable,
  blob: Descriptor,
  gate: Gate,
  signal: AbortSignal,
): Promise<Digest> {
  const known = parts.content.size(blob.digest) !== undefined;
  if (!known) {
    await gate.run(signal, async () => {
      if (parts.content.size(blob.digest) === undefined) await image.fetch(blob, signal);
    });
  }
  const size = parts.content.size(blob.digest);
  if (size !== blob.size) {
    throw new CoracleError(
      'DataLoss',
      `${image.what}: blob ${blob.digest} has ${size} bytes, not ${blob.size}`,
    );
  }
  image.tracker?.fetched(blob.digest, known);
  return blob.digest;
}

/** A manifest is believed about sizes, so they are looked at before anything is fetched. */
function requireSizes(blobs: readonly Descriptor[], what: string): void {
  const largest = Math.max(...blobs.map((blob) => blob.size));
  const all = blobs.reduce((sum, blob) => sum + blob.size, 0);
  if (largest > MAX_BLOB_BYTES || all > MAX_IMAGE_BYTES) {
    throw new CoracleError(
      'FailedPrecondition',
      `${what} is too large: its largest blob has ${largest} bytes, all have ${all}; the limits ` +
        `are ${MAX_BLOB_BYTES} and ${MAX_IMAGE_BYTES}`,
    );
  }
}

/** An index has been searched already; a single manifest says only in its configuration. */
function requirePlatform(offered: Platform, host: Platform, what: string): void {
  const fits =
    (offered.os === '' || offered.os === host.os) &&
    (offered.architecture === '' || offered.architecture === host.architecture);
  if (fits) return;
  throw new CoracleError(
    'FailedPrecondition',
    `${what} is for ${formatPlatform(offered)}; this host is ${formatPlatform(host)}`,
  );
}
