import { CoracleError } from '../errors.ts';
import type { RegistryAuth } from './auth.ts';
import type { Digest } from './digest.ts';
import type { ImageRecord } from './image-store.ts';
import { type InstallParts, install } from './install.ts';
import type { Lease } from './leases.ts';
import { type Descriptor, type Manifest, parseManifest } from './manifest.ts';
import { choosePlatform, formatPlatform } from './platform.ts';
import { formatReference, nameOf, type Reference } from './reference.ts';
import type { Registries, Repository } from './registry.ts';
import { retry } from './retry.ts';

export interface PullProgress {
  /** Blobs of the image and how many of them are here. */
  blobs: number;
  blobsDone: number;
  /** Bytes. Known layers count as done from the start. */
  bytes: number;
  bytesDone: number;
}

export interface PullRequest {
  reference: Reference;
  auth?: RegistryAuth | undefined;
  onProgress?: ((progress: PullProgress) => void) | undefined;
}

/** An index may lead to another index, as some builders make them; not deeper. */
const MAX_INDEX_DEPTH = 4;

/**
 * Pulls an image by tag or digest and records it. Throws NotFound, Unavailable
 * (RegistryUnavailable), FailedPrecondition (access, platform), DataLoss (a registry that sends
 * other bytes than its digests promise).
 */
export async function pullImage(
  parts: InstallParts,
  registries: Registries,
  request: PullRequest,
  lease: Lease,
  signal: AbortSignal,
): Promise<ImageRecord> {
  const { reference } = request;
  const what = formatReference(reference);
  const repository = registries.repository(reference, request.auth);
  const found = await resolve(parts, repository, reference, lease, signal);
  const progress = new Progress(found.manifest, request.onProgress);
  return install(
    parts,
    {
      manifest: found.manifest,
      manifestSize: found.size,
      documents: found.documents,
      tags: reference.digest === undefined ? [what] : [],
      digests: [`${nameOf(reference)}@${found.root}`],
      what,
      fetch: (blob, fetchSignal) =>
        retry(fetchSignal, async () => {
          const attempt = progress.begin(blob);
          try {
            await parts.content.ingest(
              (await repository.blob(blob.digest, 0, fetchSignal)).chunks,
              { digest: blob.digest, size: blob.size, what: `blob ${blob.digest} of ${what}` },
              { signal: fetchSignal, onBytes: attempt.add },
            );
          } catch (error) {
            attempt.undo();
            throw error;
          }
          attempt.done();
        }),
    },
    lease,
    signal,
  );
}

interface Resolved {
  manifest: Manifest;
  size: number;
  /** Digest of what the reference names, index or manifest. */
  root: Digest;
  documents: Digest[];
}

/** Follows the reference through indexes to the manifest for this host, storing each on the way. */
async function resolve(
  parts: InstallParts,
  repository: Repository,
  reference: Reference,
  lease: Lease,
  signal: AbortSignal,
): Promise<Resolved> {
  const what = formatReference(reference);
  const documents: Digest[] = [];
  let name: string = reference.digest ?? reference.tag ?? 'latest';
  for (let depth = 0; depth < MAX_INDEX_DEPTH; depth += 1) {
    const { bytes, digest } = await repository.manifest(name, signal);
    lease.add(digest);
    await parts.collector.idle();
    if ((await parts.content.size(digest)) === undefined) {
      await parts.content.ingest(once(bytes), { digest, what: `manifest ${digest}` });
    }
    documents.push(digest);
    const parsed = parseManifest(bytes, `manifest of ${what}`);
    if (parsed.kind === 'manifest') {
      return { manifest: parsed, size: bytes.length, root: documents[0] as Digest, documents };
    }
    const chosen = choosePlatform(parsed.manifests, parts.platform);
    if (chosen === undefined) {
      throw new CoracleError(
        'NotFound',
        `${what} has no image for ${formatPlatform(parts.platform)}`,
      );
    }
    name = chosen.digest;
  }
  throw new CoracleError('FailedPrecondition', `${what}: too many indexes inside each other`);
}

export async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

class Progress {
  readonly #state: PullProgress;
  readonly #report: ((progress: PullProgress) => void) | undefined;

  constructor(manifest: Manifest, report: ((progress: PullProgress) => void) | undefined) {
    const blobs = [manifest.config, ...manifest.layers];
    const bytes = blobs.reduce((sum, blob) => sum + blob.size, 0);
    this.#state = { blobs: blobs.length, blobsDone: blobs.length, bytes, bytesDone: bytes };
    this.#report = report;
  }

  /** One attempt to fetch a blob, which until now counted as here. */
  begin(blob: Descriptor): { add(count: number): void; undo(): void; done(): void } {
    let got = 0;
    this.#change(-1, -blob.size);
    return {
      add: (count) => {
        got += count;
        this.#change(0, count);
      },
      undo: () => this.#change(1, blob.size - got),
      done: () => this.#change(1, blob.size - got),
    };
  }

  #change(blobs: number, bytes: number): void {
    this.#state.blobsDone += blobs;
    this.#state.bytesDone += bytes;
    this.#report?.({ ...this.#state });
  }
}
