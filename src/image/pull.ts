import { CoracleError } from '../errors.ts';
import type { Digest } from './digest.ts';
import type { Downloads } from './downloads.ts';
import type { ImageRecord } from './image-store.ts';
import { type InstallParts, install } from './install.ts';
import type { Lease } from './leases.ts';
import { MAX_MANIFEST_BYTES, type Manifest, parseManifest } from './manifest.ts';
import { choosePlatform, formatPlatform } from './platform.ts';
import type { PullTracker } from './pull-tracker.ts';
import { formatReference, nameOf, type Reference } from './reference.ts';
import type { Repository } from './repository.ts';

export interface PullParts extends InstallParts {
  readonly downloads: Downloads;
}

export interface PullRequest {
  readonly reference: Reference;
  readonly repository: Pick<Repository, 'manifest' | 'blob'>;
  /** Equal for requests that show the same credentials to the same registry. */
  readonly access: string;
  readonly tracker: PullTracker;
}

/** An index may lead to another index, as some builders make them; not deeper. */
const MAX_INDEX_DEPTH = 4;

/**
 * Pulls an image by tag or digest and records it. Throws NotFound, Unavailable
 * (RegistryUnavailable), FailedPrecondition (access, platform, size), DataLoss (a registry that
 * sends other bytes than its digests promise).
 */
export async function pullImage(
  parts: PullParts,
  request: PullRequest,
  lease: Lease,
  signal: AbortSignal,
): Promise<ImageRecord> {
  const { reference, repository, access, tracker } = request;
  const what = formatReference(reference);
  const found = await resolve(parts, request, lease, signal);
  return install(
    parts,
    {
      manifest: found.manifest,
      manifestSize: found.size,
      documents: found.documents,
      tags: reference.digest === undefined ? [what] : [],
      digests: [`${nameOf(reference)}@${found.root}`],
      what,
      tracker,
      fetch: (blob, fetchSignal) =>
        parts.downloads.get(
          {
            blob,
            source: repository,
            registry: reference.registry,
            access,
            what: `blob ${blob.digest} of ${what}`,
            onHere: (bytes) => tracker.fetching(blob.digest, bytes),
          },
          fetchSignal,
        ),
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

/**
 * Follows the reference through indexes to the manifest for this host, storing each on the way.
 * The registry is asked with the caller's credentials also for what is here already: whether it
 * gives the manifest away decides who may have the image.
 */
async function resolve(
  parts: PullParts,
  { reference, repository }: PullRequest,
  lease: Lease,
  signal: AbortSignal,
): Promise<Resolved> {
  const what = formatReference(reference);
  const documents: Digest[] = [];
  const known = async (digest: Digest) =>
    parts.content.size(digest) === undefined
      ? undefined
      : parts.content.read(digest, MAX_MANIFEST_BYTES).catch(() => undefined);
  let name: string = reference.digest ?? reference.tag ?? 'latest';
  for (let depth = 0; depth < MAX_INDEX_DEPTH; depth += 1) {
    const { bytes, digest } = await repository.manifest(name, signal, known);
    lease.add(digest);
    await parts.collector.idle();
    if (parts.content.size(digest) === undefined) {
      await parts.content.ingest(once(bytes), { digest, what: `manifest ${digest}` }, { signal });
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
