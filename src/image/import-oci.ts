import { CoracleError } from '../errors.ts';
import { type Digest, digestOf, hexOf } from './digest.ts';
import type { Installable, InstallParts } from './install.ts';
import type { LayoutSource } from './layout-source.ts';
import type { Lease } from './leases.ts';
import { type IndexEntry, MAX_MANIFEST_BYTES, type Manifest, parseManifest } from './manifest.ts';
import { choosePlatform, formatPlatform } from './platform.ts';
import { once } from './pull.ts';
import { formatReference, nameOf, parseReference, type Reference } from './reference.ts';

const MAX_INDEX_DEPTH = 4;

/** The images of an OCI layout (image specification 1.1, image-layout.md) for this host. */
export async function readOciLayout(
  parts: InstallParts,
  source: LayoutSource,
  lease: Lease,
): Promise<Installable[]> {
  const bytes = await source.read('index.json', MAX_MANIFEST_BYTES);
  const index = parseManifest(bytes, `${source.path}: index.json`);
  if (index.kind !== 'index') {
    throw new CoracleError('DataLoss', `${source.path}: index.json is no index`);
  }
  // Several entries with one name are one image for several platforms.
  const groups = new Map<string, IndexEntry[]>();
  for (const entry of index.manifests) {
    const name = nameIn(entry);
    const key = name === undefined ? '' : formatReference(name);
    groups.set(key, [...(groups.get(key) ?? []), entry]);
  }
  const images: Installable[] = [];
  for (const [key, entries] of groups) {
    images.push(await follow(parts, source, lease, key, entries));
  }
  return images;
}

/**
 * The reference that an entry carries: containerd's annotation with the full name, else OCI's where
 * that is more than a bare tag.
 */
function nameIn(entry: IndexEntry): Reference | undefined {
  const full = entry.annotations?.['io.containerd.image.name'];
  if (full) return parseReference(full);
  const name = entry.annotations?.['org.opencontainers.image.ref.name'];
  return name && /[/:]/.test(name) ? parseReference(name) : undefined;
}

async function follow(
  parts: InstallParts,
  source: LayoutSource,
  lease: Lease,
  name: string,
  entries: IndexEntry[],
): Promise<Installable> {
  const what = name === '' ? source.path : `${name} in ${source.path}`;
  const documents: Digest[] = [];
  let offers = entries;
  for (let depth = 0; depth < MAX_INDEX_DEPTH; depth += 1) {
    const chosen = choosePlatform(offers, parts.platform);
    if (chosen === undefined) {
      throw new CoracleError(
        'NotFound',
        `${what} has no image for ${formatPlatform(parts.platform)}`,
      );
    }
    const bytes = await source.read(blobName(chosen.digest), MAX_MANIFEST_BYTES);
    if (digestOf(bytes) !== chosen.digest) {
      throw new CoracleError('DataLoss', `${what}: manifest ${chosen.digest} has another digest`);
    }
    lease.add(chosen.digest);
    await parts.collector.idle();
    await parts.content.ingest(once(bytes), { digest: chosen.digest, what });
    documents.push(chosen.digest);
    const parsed = parseManifest(bytes, `manifest of ${what}`);
    if (parsed.kind === 'manifest') {
      return installable(parts, source, { name, what, documents, bytes: bytes.length }, parsed);
    }
    offers = parsed.manifests;
  }
  throw new CoracleError('FailedPrecondition', `${what}: too many indexes inside each other`);
}

function installable(
  parts: InstallParts,
  source: LayoutSource,
  found: { name: string; what: string; documents: Digest[]; bytes: number },
  manifest: Manifest,
): Installable {
  const reference = found.name === '' ? undefined : parseReference(found.name);
  return {
    manifest,
    manifestSize: found.bytes,
    documents: found.documents,
    tags: reference && reference.digest === undefined ? [found.name] : [],
    digests: reference ? [`${nameOf(reference)}@${found.documents[0]}`] : [],
    what: found.what,
    fetch: async (blob, signal) => {
      await parts.content.ingest(
        await source.stream(blobName(blob.digest)),
        { digest: blob.digest, size: blob.size, what: `blob ${blob.digest} of ${found.what}` },
        { signal },
      );
    },
  };
}

function blobName(digest: Digest): string {
  return `blobs/sha256/${hexOf(digest)}`;
}
