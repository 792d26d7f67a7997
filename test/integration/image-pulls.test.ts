import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Digest, digestOf, hexOf } from '../../src/image/digest.ts';
import type { ImageService, PullProgress } from '../../src/image/images.ts';
import type { ImagesOptions } from '../../src/image/open-images.ts';
import { type ProxyOptions, proxy } from '../helpers/http-server.ts';
import {
  diskUsage,
  emptyRoot,
  filesBelow,
  makeTar,
  noise,
  openTestImages,
  pushLayout,
  scratchDirectory,
  writeLayout,
} from '../helpers/image-fixture.ts';
import { startRegistry, type TestRegistry } from '../helpers/registry.ts';

let scratch: Awaited<ReturnType<typeof scratchDirectory>>;
let registry: TestRegistry;

before(async () => {
  scratch = await scratchDirectory();
  registry = await startRegistry(join(scratch.path, 'registry'));
});

after(async () => {
  await registry?.[Symbol.asyncDispose]();
  await scratch?.[Symbol.asyncDispose]();
});

/** Pushes an image whose layers have one file each, of the given name and size. */
async function push(name: string, tag: string, files: [string, number][]) {
  const layout = join(scratch.path, `${name}-${tag}`);
  const layers = files.map(([file, size]) => makeTar([{ name: file, data: noise(file, size) }]));
  const made = writeLayout(layout, { name, layers, config: { Labels: { name, tag } } });
  await pushLayout(registry.url, layout, name, tag);
  return made;
}

async function fresh(options: Partial<ImagesOptions> = {}) {
  const dir = await scratchDirectory();
  const root = join(dir.path, 'root');
  let opened = await openTestImages(root, options);
  return {
    root,
    get images() {
      return opened.images;
    },
    async reopen() {
      await opened[Symbol.asyncDispose]();
      opened = await openTestImages(root, options);
      return opened.images;
    },
    [Symbol.asyncDispose]: async () => {
      await opened[Symbol.asyncDispose]();
      await dir[Symbol.asyncDispose]();
    },
  };
}

/** Before the registry, so that what goes through can be counted and cut. */
function between(options: Partial<ProxyOptions> = {}) {
  return proxy({ to: registry.host, ...options });
}

function assertWhole(images: ImageService, root: string, id: string, files: [string, number][]) {
  const layers = images.layersOf(id).toReversed();
  assert.equal(layers.length, files.length);
  for (const [index, [file, size]] of files.entries()) {
    const bytes = readFileSync(join(root, layers[index] ?? '', file));
    assert.equal(digestOf(bytes), digestOf(noise(file, size)), `${file} of ${id}`);
  }
}

function assertCounted(images: ImageService, root: string) {
  const { usedBytes, inodesUsed } = images.fsInfo();
  assert.deepEqual({ bytes: usedBytes, inodes: inodesUsed }, diskUsage(root));
}

test('twenty pulls at once of images that share layers ask for each blob once', async () => {
  await using opened = await fresh();
  const shared: [string, number][] = [
    ['base', 3_000_000],
    ['middle', 1_000_000],
    ['top', 500_000],
  ];
  const sets = Array.from({ length: 20 }, (_, n): [string, number][] => [
    ...shared.slice(0, 1 + (n % 3)),
    [`own-${n}`, 20_000],
  ]);
  for (const [n, files] of sets.entries()) await push(`share${n}`, 'v', files);
  await using server = await between();
  const { images, root } = opened;
  const refs = await Promise.all(
    sets.map((_, n) => images.pull(`${server.host}/share${n}:v`).then((r) => r.imageRef)),
  );
  for (const [n, files] of sets.entries()) assertWhole(images, root, refs[n] ?? '', files);
  const counts = new Map<string, number>();
  for (const line of server.log) {
    const blob = /^GET .*\/blobs\/(\S+)/.exec(line)?.[1];
    if (blob) counts.set(blob, (counts.get(blob) ?? 0) + 1);
  }
  assert.equal(counts.size, 3 + 20 + 20, 'shared layers, own layers, configurations');
  assert.deepEqual([...new Set(counts.values())], [1]);
  assertCounted(images, root);
  const { inProgress, succeeded, failed, bytes } = images.metrics();
  assert.deepEqual([inProgress, succeeded, failed], [0, 20, 0]);
  assert.ok(bytes > 4_500_000 + 20 * 20_000 && bytes < 6_000_000, `${bytes} bytes came`);
  await Promise.all(refs.map((id) => images.remove(id)));
  assert.deepEqual(filesBelow(root), emptyRoot);
  assert.deepEqual([images.fsInfo().usedBytes, images.fsInfo().inodesUsed], [0, 0]);
});

test('pulls, cancelled pulls and removals of images with common layers cross unharmed', async () => {
  await using opened = await fresh();
  const sets = new Map<string, [string, number][]>();
  for (let n = 0; n < 5; n += 1) {
    sets.set(`cross${n}`, [
      ['cross-base', 400_000],
      [`cross-${n % 2}`, 100_000],
      [`cross-own-${n}`, 5_000],
    ]);
  }
  for (const [name, files] of sets) await push(name, 'v', files);
  const { images, root } = opened;
  const workers = [...sets].flatMap(([name, files], n) =>
    [0, 1].map(async (half) => {
      const image = `${registry.host}/${name}:v`;
      for (let round = 0; round < 12; round += 1) {
        const stop = new AbortController();
        const wait = (round * 7 + n * 3 + half * 5) % 25;
        if (round % 3 === half) setTimeout(() => stop.abort(), wait);
        const pulled = await images.pull(image, { signal: stop.signal }).catch((error) => {
          assert.equal(error.kind, 'Cancelled', error.stack);
        });
        const status = pulled && images.status(pulled.imageRef);
        if (status) assertWhole(images, root, status.id, files);
        if (half === 0) await images.remove(image);
      }
    }),
  );
  await Promise.all(workers);
  assertCounted(images, root);
  for (const name of sets.keys()) await images.pull(`${registry.host}/${name}:v`);
  await Promise.all([...sets.keys()].map((name) => images.remove(`${registry.host}/${name}:v`)));
  assert.deepEqual(filesBelow(root), emptyRoot);
  assert.equal(images.fsInfo().usedBytes, 0);
});

test('a blob goes on where its connection broke, and where the server was stopped', async () => {
  const size = 4_000_000;
  const { layerDigests } = await push('resume', 'v', [['resume', size]]);
  const path = `/v2/resume/blobs/${layerDigests[0]}`;
  let cutAt = 1_500_000;
  let stall = false;
  await using server = await between({
    onBody: async (request, response) => {
      if (request.url !== path) return;
      const sent = server.sent.get(path) ?? 0;
      if (cutAt > 0 && sent > cutAt) {
        cutAt = 0;
        response.destroy();
      }
      if (stall && sent > 3_000_000) await sleep(600_000, undefined, { ref: false });
    },
  });
  const image = `${server.host}/resume:v`;
  await using opened = await fresh();
  const blobSize = statSync(
    join(scratch.path, 'resume-v/blobs/sha256', hexOf(layerDigests[0] as Digest)),
  ).size;
  stall = true;
  const first = opened.images.pull(image);
  first.catch(() => undefined);
  while ((server.sent.get(path) ?? 0) < 3_000_000) await sleep(10);
  await sleep(100);
  await opened.reopen();
  await assert.rejects(first, { kind: 'Unavailable' });
  assert.ok(existsSync(join(opened.root, 'ingest', hexOf(layerDigests[0] as Digest))));
  assertCounted(opened.images, opened.root);
  assert.deepEqual(opened.images.list(), []);
  stall = false;
  const { imageRef } = await opened.images.pull(image);
  assertWhole(opened.images, opened.root, imageRef, [['resume', size]]);
  const sent = server.sent.get(path) ?? 0;
  assert.ok(sent < blobSize * 1.25, `${sent} bytes were sent of ${blobSize}`);
  assert.equal(server.log.filter((line) => line.startsWith(`GET ${path} `)).length, 3);
  assert.deepEqual(filesBelow(join(opened.root, 'ingest')), []);
});

test('every caller of one pull has reports and may leave; a faulty one harms itself', async () => {
  const files: [string, number][] = [
    ['joined-1', 600_000],
    ['joined-2', 600_000],
  ];
  await push('joined', 'v', files);
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  let holding = 0;
  await using server = await between({
    onBody: async (request) => {
      if (!request.url?.includes('/blobs/')) return;
      holding += 1;
      await held;
    },
  });
  await using opened = await fresh();
  const { images } = opened;
  const image = `${server.host}/joined:v`;
  const seen: PullProgress[][] = [[], []];
  const stop = new AbortController();
  const first = images.pull(image, {
    signal: stop.signal,
    onProgress: (progress) => seen[0]?.push(progress),
  });
  while (holding === 0) await sleep(5);
  const second = images.pull(image, { onProgress: (progress) => seen[1]?.push(progress) });
  const third = images.pull(image, {
    onProgress: () => {
      throw new Error('faulty');
    },
  });
  await assert.rejects(third, /faulty/);
  stop.abort();
  await assert.rejects(first, { kind: 'Cancelled' });
  release();
  await second;
  const last = seen[1]?.at(-1);
  assert.deepEqual([last?.blobs, last?.blobsDone, last?.bytesDone === last?.bytes], [3, 3, true]);
  assert.deepEqual(
    last?.layers.map((layer) => layer.state),
    ['done', 'done'],
  );
  assert.ok(seen[0]?.length, 'the first was told, too');
  assert.equal(images.metrics().succeeded, 1);

  const again: PullProgress[] = [];
  await images.pull(image, { onProgress: (progress) => again.push(progress) });
  assert.deepEqual(
    again.at(-1)?.layers.map((layer) => layer.state),
    ['exists', 'exists'],
  );
});

test('an image has one id by tag, digest and both; a tag that moves leaves the old one', async () => {
  await using opened = await fresh({ pinned: ['127.0.0.1*/moving:v2'] });
  const { images } = opened;
  const one = await push('moving', 'v1', [['moving-1', 1000]]);
  const name = `${registry.host}/moving`;
  const digest = one.manifestDigest;
  const forms = [`${name}:v1`, `${name}@${digest}`, `${name}:v1@${digest}`];
  for (const form of forms) {
    assert.equal((await images.pull(form)).imageRef, one.configDigest, form);
    const status = images.status(form);
    assert.deepEqual(
      [status?.id, status?.repoTags, status?.repoDigests, status?.pinned],
      [one.configDigest, [`${name}:v1`], [`${name}@${digest}`], false],
    );
    assert.deepEqual(
      images.list().map((image) => image.id),
      [one.configDigest],
    );
  }
  const two = await push('moving', 'v2', [['moving-2', 1000]]);
  await pushLayout(registry.url, join(scratch.path, 'moving-v2'), 'moving', 'v1');
  await images.pull(`${name}:v1`);
  await images.pull(`${name}:v2`);
  assert.equal(images.status(`${name}:v1`)?.id, two.configDigest);
  assert.equal(images.status(`${name}:v2`)?.pinned, true);
  const old = images.status(`${name}@${digest}`);
  assert.deepEqual([old?.id, old?.repoTags], [one.configDigest, []]);
  assert.equal(images.list().length, 2);

  await images.remove(one.configDigest.slice('sha256:'.length, 20));
  assert.equal(images.status(`${name}@${digest}`), undefined);
  await images.remove(`${name}:v1`);
  assert.deepEqual(images.list(), [], 'with all its names');
  assert.deepEqual(filesBelow(opened.root), emptyRoot);
  await assert.rejects(images.pull(one.configDigest), {
    kind: 'InvalidArgument',
    message: /id of an image/,
  });
});

test('IM-11: removals of one image at once all succeed, and its space is free after each', async () => {
  await using opened = await fresh();
  const { images, root } = opened;
  await push('often', 'v', [
    ['often-1', 300_000],
    ['often-2', 300_000],
  ]);
  const name = `${registry.host}/often:v`;
  for (let round = 0; round < 5; round += 1) {
    const { imageRef } = await images.pull(name);
    await Promise.all(
      Array.from({ length: 5 }, async (_, n) => {
        await images.remove(n % 2 === 0 ? imageRef : name);
        assert.equal(images.status(imageRef), undefined);
        assert.deepEqual(filesBelow(root), emptyRoot);
      }),
    );
  }
});

test('a removal in the middle of a pull of the same image harms neither', async () => {
  const files: [string, number][] = [['same', 2_000_000]];
  await push('same', 'v', files);
  await using server = await between();
  await using opened = await fresh();
  const { images, root } = opened;
  const name = `${server.host}/same:v`;
  for (let delay = 0; delay < 60; delay += 6) {
    const pull = images.pull(name);
    await sleep(delay);
    await images.remove(name);
    const { imageRef } = await pull;
    const there = images.status(imageRef);
    if (there) assertWhole(images, root, imageRef, files);
    if (delay % 12 === 0) await images.remove(name);
  }
  await images.remove(name);
  assert.deepEqual(filesBelow(root), emptyRoot);
});

test('an image that has lost a blob is out of sight; its container keeps its layers', async () => {
  await using opened = await fresh();
  const files: [string, number][] = [['lost', 10_000]];
  const { layerDigests } = await push('lost', 'v', files);
  const name = `${registry.host}/lost:v`;
  const { imageRef } = await opened.images.pull(name);
  const blob = join(opened.root, 'blobs/sha256', hexOf(layerDigests[0] as Digest));
  rmSync(blob);
  const images = await opened.reopen();
  images.hold(imageRef, 'c');
  await images.recovered();
  assert.deepEqual(images.list(), []);
  assertWhole(images, opened.root, imageRef, files);
  await images.pull(name);
  assertWhole(images, opened.root, imageRef, files);
  assert.ok(existsSync(blob), 'a pull brings it again');
  await images.remove(imageRef);
  assertWhole(images, opened.root, imageRef, files);
  images.release(imageRef, 'c');
  await images.remove(imageRef);
  assert.deepEqual(filesBelow(opened.root), emptyRoot);
  assert.throws(() => images.hold(imageRef, 'd'), { kind: 'NotFound' });
});

test('a blob that changed on disk fails one pull and is brought again by the next', async () => {
  await using opened = await fresh();
  const { root } = opened;
  const files: [string, number][] = [['rotten', 10_000]];
  const { layerDigests } = await push('rotten', 'v', files);
  const digest = layerDigests[0] as Digest;
  const name = `${registry.host}/rotten:v`;
  const size = statSync(join(scratch.path, 'rotten-v/blobs/sha256', hexOf(digest))).size;
  writeFileSync(join(root, 'blobs/sha256', hexOf(digest)), Buffer.alloc(size, 1));
  const images = await opened.reopen();
  await assert.rejects(images.pull(name), { kind: 'DataLoss' });
  const { imageRef } = await images.pull(name);
  assertWhole(images, root, imageRef, files);
});
