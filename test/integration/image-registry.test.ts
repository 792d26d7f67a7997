import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { MediaType } from '../../src/image/manifest.ts';
import { hostPlatform } from '../../src/image/platform.ts';
import type { PullProgress } from '../../src/image/progress.ts';
import {
  emptyRoot,
  filesBelow,
  makeBusyboxLayout,
  makeTar,
  manifestOf,
  openTestImages,
  pushDocument,
  pushLayout,
  pushManifest,
  scratchDirectory,
  sha256,
  writeLayout,
} from '../helpers/image-fixture.ts';
import { startRegistry, type TestRegistry } from '../helpers/registry.ts';

let scratch: Awaited<ReturnType<typeof scratchDirectory>>;
let registry: TestRegistry;
let busybox: ReturnType<typeof makeBusyboxLayout>;

before(async () => {
  scratch = await scratchDirectory();
  registry = await startRegistry(join(scratch.path, 'registry'));
  busybox = makeBusyboxLayout(join(scratch.path, 'busybox'));
  await pushLayout(registry.url, join(scratch.path, 'busybox'), 'busybox', 'latest');
});

after(async () => {
  await registry?.[Symbol.asyncDispose]();
  await scratch?.[Symbol.asyncDispose]();
});

async function freshImages() {
  const dir = await scratchDirectory();
  const opened = await openTestImages(join(dir.path, 'root'));
  return {
    images: opened.images,
    root: join(dir.path, 'root'),
    [Symbol.asyncDispose]: async () => {
      await opened[Symbol.asyncDispose]();
      await dir[Symbol.asyncDispose]();
    },
  };
}

test('a pull by tag gives id, tag, digest and tree; remove frees every file', async () => {
  await using fresh = await freshImages();
  const { images, root } = fresh;
  const seen: PullProgress[] = [];
  const name = `${registry.host}/busybox`;
  const { imageRef } = await images.pull(name, { onProgress: (p) => seen.push(p) });
  assert.equal(imageRef, busybox.configDigest);
  const status = images.status(name);
  assert.deepEqual(status?.repoTags, [`${name}:latest`]);
  assert.deepEqual(status?.repoDigests, [`${name}@${busybox.manifestDigest}`]);
  const [layer = ''] = images.layersOf(imageRef);
  assert.match(readFileSync(join(root, layer, 'etc/passwd'), 'utf8'), /^app:x:1000/m);
  const last = seen.at(-1);
  assert.equal(last?.bytesDone, last?.bytes);
  assert.equal(last?.blobsDone, 2);
  const fs = await images.fsInfo();
  assert.ok(fs.usedBytes > (status?.size ?? 0) && fs.inodesUsed > 100);
  await images.remove(`${name}@${busybox.manifestDigest}`);
  assert.deepEqual(images.list(), []);
  assert.deepEqual(filesBelow(root), emptyRoot);
});

test('a pull by digest gives no tag', async () => {
  await using fresh = await freshImages();
  const name = `${registry.host}/busybox@${busybox.manifestDigest}`;
  await fresh.images.pull(name);
  assert.deepEqual(fresh.images.status(name)?.repoTags, []);
  assert.deepEqual(fresh.images.status(name)?.repoDigests, [name]);
});

test('the index entry for this host is pulled, under the digest of the index', async () => {
  await using fresh = await freshImages();
  const host = hostPlatform();
  const other = join(scratch.path, 'other');
  const architecture = host.architecture === 'amd64' ? 'arm64' : 'amd64';
  writeLayout(other, { name: 'x', layers: [makeTar([{ name: 'wrong' }])], architecture });
  const manifests = [
    { ...manifestOf(other), platform: { os: 'linux', architecture } },
    { ...manifestOf(join(scratch.path, 'busybox')), platform: host },
  ];
  for (const [index, layout] of [other, join(scratch.path, 'busybox')].entries()) {
    const manifest = manifests[index];
    assert.ok(manifest);
    await pushManifest(registry.url, layout, 'multi', manifest.digest, manifest);
  }
  const bytes = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests }),
  );
  await pushDocument(registry.url, 'multi', 'v1', MediaType.ociIndex, bytes);
  const { imageRef } = await fresh.images.pull(`${registry.host}/multi:v1`);
  assert.equal(imageRef, busybox.configDigest);
  assert.deepEqual(fresh.images.status(imageRef)?.repoDigests, [
    `${registry.host}/multi@${sha256(bytes)}`,
  ]);
  await fresh.images.remove(imageRef);
  assert.deepEqual(filesBelow(fresh.root), emptyRoot);

  await pushDocument(
    registry.url,
    'multi',
    'foreign',
    MediaType.ociIndex,
    Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: MediaType.ociIndex,
        manifests: manifests.slice(0, 1),
      }),
    ),
  );
  await assert.rejects(fresh.images.pull(`${registry.host}/multi:foreign`), {
    kind: 'NotFound',
    message: new RegExp(`linux/${host.architecture}`),
  });
});

test('pulls of one image at once are one pull, and images that share layers unpack them once', async () => {
  await using fresh = await freshImages();
  const layers = [
    makeTar([{ name: 'shared', data: 'x'.repeat(2_000_000) }]),
    makeTar([{ name: 'second', data: 'y'.repeat(1_000_000) }]),
  ];
  for (const name of ['a', 'b']) {
    const layout = join(scratch.path, `shared-${name}`);
    writeLayout(layout, { name, layers: [...layers, makeTar([{ name }])] });
    await pushLayout(registry.url, layout, `shared-${name}`, 'latest');
  }
  const names = ['a', 'b'].map((name) => `${registry.host}/shared-${name}`);
  const refs = await Promise.all([...names, ...names, ...names].map((n) => fresh.images.pull(n)));
  assert.equal(new Set(refs.map((ref) => ref.imageRef)).size, 2);
  assert.equal(fresh.images.list().length, 2);
  const made = filesBelow(join(fresh.root, 'layers')).filter((name) => /^\d+\/$/.test(name));
  assert.equal(made.length, 5, 'four layers and the empty one');
  await Promise.all([...names, ...names].map((name) => fresh.images.remove(name)));
  assert.deepEqual(filesBelow(fresh.root), emptyRoot);
});

test('pulls and removals that cross leave whole images or none', async () => {
  await using fresh = await freshImages();
  const name = `${registry.host}/busybox`;
  for (let round = 0; round < 8; round += 1) {
    await Promise.all([fresh.images.pull(name), fresh.images.remove(name)]);
    const status = fresh.images.status(name);
    if (status === undefined) continue;
    const [layer = ''] = fresh.images.layersOf(status.id);
    assert.match(readFileSync(join(fresh.root, layer, 'etc/group'), 'utf8'), /extra/);
  }
  await fresh.images.remove(name);
  assert.deepEqual(filesBelow(fresh.root), emptyRoot);
});

test('what the registry does not have is NotFound, with the name', async () => {
  await using fresh = await freshImages();
  await assert.rejects(fresh.images.pull(`${registry.host}/none:1`), {
    kind: 'NotFound',
    message: /none/,
  });
  await assert.rejects(fresh.images.pull('Bad'), { kind: 'InvalidArgument' });
});

test('a caller that gives up is told at once, and nothing shows', async () => {
  await using fresh = await freshImages();
  const stop = new AbortController();
  const pull = fresh.images.pull(`${registry.host}/busybox`, {
    signal: stop.signal,
    onProgress: () => stop.abort(),
  });
  await assert.rejects(pull, { kind: 'Cancelled' });
  assert.deepEqual(fresh.images.list(), []);
  await fresh.images.pull(`${registry.host}/busybox`);
  assert.equal(fresh.images.list().length, 1);
});

test('closing ends pulls and leaves no half layer', async () => {
  await using dir = await scratchDirectory();
  const root = join(dir.path, 'root');
  let pull: Promise<unknown> = Promise.resolve();
  {
    await using opened = await openTestImages(root);
    pull = opened.images.pull(`${registry.host}/busybox`);
    pull.catch(() => undefined);
  }
  await assert.rejects(pull, { kind: 'Unavailable' });
  assert.deepEqual(filesBelow(join(root, 'layers')), ['0/', '0/fs/']);
  assert.deepEqual(filesBelow(join(root, 'ingest')), []);
});
