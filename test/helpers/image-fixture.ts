import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request } from 'undici';
import type { ImageService } from '../../src/image/images.ts';
import { type ImagesOptions, openImages } from '../../src/image/open-images.ts';
import { addon } from '../../src/native/addon.ts';
import { openStore } from '../../src/store/open.ts';
import type { Store } from '../../src/store/store.ts';

export * from '../../scripts/busybox-image.mjs';

/** A directory that goes when the block ends. */
export async function scratchDirectory(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'coracle-image-'));
  return {
    path,
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}

export interface OpenedImages extends AsyncDisposable {
  images: ImageService;
  store: Store;
}

/** An image service over a real store in `root`. */
export async function openTestImages(
  root: string,
  options: Partial<ImagesOptions> = {},
): Promise<OpenedImages> {
  const store = await openStore(root);
  const images = await openImages({ root, store, native: addon, ...options });
  return {
    images,
    store,
    [Symbol.asyncDispose]: async () => {
      await images.close();
      await store.close();
    },
  };
}

/** Every file below a directory but the store's own, relative, sorted; directories end in "/". */
export function filesBelow(root: string): string[] {
  const out = execFileSync(
    'find',
    [root, '-ignore_readdir_race', '-path', `${root}/meta`, '-prune', '-o', '-printf', '%P%y\n'],
    {
      encoding: 'utf8',
    },
  );
  return out
    .split('\n')
    .filter((line) => line.length > 1)
    .map((line) => (line.endsWith('d') ? `${line.slice(0, -1)}/` : line.slice(0, -1)))
    .sort();
}

/** What du(1) says of blobs, of those on their way, and of layers: bytes allocated, and inodes. */
export function diskUsage(root: string): { bytes: number; inodes: number } {
  const script =
    'find blobs/sha256 ingest layers -mindepth 1 -maxdepth 1 ! -path layers/0 -print0 | ' +
    'du --files0-from=- -cs "$@" | tail -1';
  const total = (...flags: string[]) =>
    Number.parseInt(
      execFileSync('sh', ['-c', script, 'sh', ...flags], {
        cwd: root,
        encoding: 'utf8',
      }),
      10,
    );
  return { bytes: total('-B1'), inodes: total('--inodes') };
}

/** What is in `layers/`, `blobs/` and `ingest/` once no image is left. */
export const emptyRoot = [
  'blobs/',
  'blobs/sha256/',
  'ingest/',
  'layers/',
  'layers/0/',
  'layers/0/fs/',
];

/** Bytes that do not compress, the same ones for the same seed. */
export function noise(seed: string, size: number): Buffer {
  return createHash('shake256', { outputLength: size }).update(seed).digest();
}

interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  platform?: { os: string; architecture: string; variant?: string };
}

function blobOf(layout: string, digest: string): Buffer {
  return readFileSync(join(layout, 'blobs', 'sha256', digest.slice('sha256:'.length)));
}

async function expect(status: number, url: string, options: Parameters<typeof request>[1]) {
  const response = await request(url, options);
  const text = await response.body.text();
  if (response.statusCode !== status) throw new Error(`${url}: ${response.statusCode} ${text}`);
  return response;
}

/** Pushes the manifest's blobs and the manifest under `tag` (a digest where it needs no name). */
export async function pushManifest(
  registry: string,
  layout: string,
  name: string,
  tag: string,
  manifest: Descriptor,
): Promise<void> {
  const bytes = blobOf(layout, manifest.digest);
  const { config, layers } = JSON.parse(bytes.toString()) as {
    config: Descriptor;
    layers: Descriptor[];
  };
  for (const blob of [config, ...layers]) {
    const opened = await expect(202, `${registry}/v2/${name}/blobs/uploads/`, { method: 'POST' });
    const location = new URL(String(opened.headers.location), registry);
    location.searchParams.set('digest', blob.digest);
    await expect(201, location.href, {
      method: 'PUT',
      headers: { 'content-type': 'application/octet-stream' },
      body: blobOf(layout, blob.digest),
    });
  }
  await pushDocument(registry, name, tag, manifest.mediaType, bytes);
}

export async function pushDocument(
  registry: string,
  name: string,
  tag: string,
  mediaType: string,
  bytes: Buffer,
): Promise<void> {
  await expect(201, `${registry}/v2/${name}/manifests/${tag}`, {
    method: 'PUT',
    headers: { 'content-type': mediaType },
    body: bytes,
  });
}

/** The first image of a layout. */
export function manifestOf(layout: string): Descriptor {
  const index = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')) as {
    manifests: Descriptor[];
  };
  const [first] = index.manifests;
  if (first === undefined) throw new Error(`${layout} is empty`);
  return { mediaType: first.mediaType, digest: first.digest, size: first.size };
}

/** Pushes a layout's image to "http://host:port" as name:tag. */
export async function pushLayout(
  registry: string,
  layout: string,
  name: string,
  tag: string,
): Promise<void> {
  await pushManifest(registry, layout, name, tag, manifestOf(layout));
}
