import { CoracleError } from '../errors.ts';
import { type Digest, digestOf, hexOf } from './digest.ts';
import type { Installable, InstallParts } from './install.ts';
import type { LayoutSource } from './layout-source.ts';
import type { Lease } from './leases.ts';
import { type IndexEntry, MAX_MANIFEST_BYTES, type Manifest, parseManifest } from './manifest.ts';
import { choosePlatform, formatPlatform, type Platform } from './platform.ts';
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
  const images = new Map<Digest | undefined, Installable>();
  for (const { name, offers } of imagesIn(index.manifests, parts.platform)) {
    const image = await follow(parts, source, lease, name, offers);
    // Docker writes an entry for each name of one image.
    const same = images.get(image.documents.at(-1));
    if (same === undefined) images.set(image.documents.at(-1), image);
    else merge(same, image);
  }
  return [...images.values()];
}

function merge(into: Installable, other: Installable): void {
  into.tags = [...new Set([...into.tags, ...other.tags])];
  into.digests = [...new Set([...into.digests, ...other.digests])];
  into.documents = [...new Set([...into.documents, ...other.documents])];
}

/**
 * Several entries with one name are one image for several platforms. So are entries without any
 * name, unless two of them would do for one platform: then each that runs here is an image.
 */
function imagesIn(
  entries: readonly IndexEntry[],
  host: Platform,
): { name: string; offers: IndexEntry[] }[] {
  const groups = new Map<string, { name: string; offers: IndexEntry[] }>();
  for (const entry of entries) {
    // So buildkit marks what is about an image: provenance, lists of its parts.
    if (entry.platform?.os === 'unknown') continue;
    const name = nameIn(entry);
    // A bare tag names no image, but tells two of them apart.
    const label = entry.annotations?.[REF_NAME] ?? '';
    const key = name === undefined ? ` ${label}` : formatReference(name);
    const group = groups.get(key) ?? { name: name === undefined ? '' : key, offers: [] };
    if (!group.offers.some(({ digest }) => digest === entry.digest)) group.offers.push(entry);
    groups.set(key, group);
  }
  return [...groups.values()].flatMap((group) => {
    const platforms = group.offers.map(({ platform }) => platform && formatPlatform(platform));
    if (group.name !== '' || new Set(platforms).size === platforms.length) return [group];
    const runnable = group.offers.filter((entry) => choosePlatform([entry], host) !== undefined);
    return runnable.length === 0
      ? [group]
      : runnable.map((entry) => ({ name: '', offers: [entry] }));
  });
}

const REF_NAME = 'org.opencontainers.image.ref.name';

/**
 * The reference that an entry carries: containerd's annotation with the full name, else OCI's where
 * that is one (podman) and no bare tag (skopeo).
 */
function nameIn(entry: IndexEntry): Reference | undefined {
  const full = entry.annotations?.['io.containerd.image.name'];
  if (full) return parseReference(full);
  const name = entry.annotations?.[REF_NAME];
  if (!name || !/[/:]/.test(name)) return undefined;
  try {
    return parseReference(name);
  } catch {
    // The specification lets it be any label.
    return undefined;
  }
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
        source.stream(blobName(blob.digest)),
        { digest: blob.digest, size: blob.size, what: `blob ${blob.digest} of ${found.what}` },
        { signal },
      );
    },
  };
}

function blobName(digest: Digest): string {
  return `blobs/sha256/${hexOf(digest)}`;
}
