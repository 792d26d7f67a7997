import { CoracleError, throwIfAborted } from '../errors.ts';
import type { Collector } from './collect.ts';
import { parseImageConfig } from './config.ts';
import type { ContentStore } from './content-store.ts';
import { chainIds, type Digest } from './digest.ts';
import type { ImageRecord } from './image-store.ts';
import type { Lease } from './leases.ts';
import { type Descriptor, MAX_CONFIG_BYTES, type Manifest } from './manifest.ts';
import { formatPlatform, type Platform } from './platform.ts';
import type { ImageRecords } from './records.ts';
import type { Unpacker } from './unpack.ts';

export interface InstallParts {
  readonly content: ContentStore;
  readonly unpacker: Unpacker;
  readonly records: ImageRecords;
  readonly collector: Collector;
  readonly platform: Platform;
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
}

/** At once, for each image. */
const MAX_DOWNLOADS = 3;

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
  for (const blob of [config, ...layers]) lease.add(blob.digest);
  await parts.collector.idle();

  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const gate = new Gate(MAX_DOWNLOADS);
  const started = new Map<Digest, Promise<Digest>>();
  const have = (blob: Descriptor): Promise<Digest> => {
    let promise = started.get(blob.digest);
    if (promise === undefined) {
      promise = gate.run(async () => {
        throwIfAborted(either);
        if ((await parts.content.size(blob.digest)) === undefined) await image.fetch(blob, either);
        return blob.digest;
      });
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
    await parts.unpacker.unpack(stack, image.what, either);
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
    // The lease ends when this returns: no download may be left behind that would still write.
    stop.abort(error);
    await Promise.allSettled(started.values());
    throw error;
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

/** Lets a few pieces of work run at once, the others wait in order. */
class Gate {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(width: number) {
    this.#free = width;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free += 1;
    }
  }
}
