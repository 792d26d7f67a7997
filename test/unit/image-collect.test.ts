import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Digest, digestOf, hexOf } from '../../src/image/digest.ts';
import { PinnedImages } from '../../src/image/pinned.ts';
import { Unpacker } from '../../src/image/unpack.ts';
import { scratchDirectory } from '../helpers/image-fixture.ts';
import { imageParts, imageRecord, putBlob } from '../helpers/image-parts.ts';

const DAY = 24 * 3_600_000;

async function setUp(t: TestContext) {
  const dir = await scratchDirectory();
  t.after(() => dir[Symbol.asyncDispose]());
  const parts = await imageParts(dir.path);
  const makeLayer = async (name: string): Promise<Digest> => {
    const chainId = digestOf(name);
    await parts.layers.make(async () => ({
      chainId,
      diffId: chainId,
      parent: null,
      size: 4096,
      inodes: 1,
    }));
    return chainId;
  };
  return { ...parts, root: dir.path, makeLayer };
}

function gate() {
  let open = () => {};
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open: () => open(), passed };
}

test('a sweep leaves what images, held ones, and leases have, and frees the rest', async (t) => {
  const { content, records, leases, holds, collector, layers, makeLayer } = await setUp(t);
  const [used, leased, loose] = [
    await putBlob(content, 'used'),
    await putBlob(content, 'leased'),
    await putBlob(content, 'loose'),
  ];
  const chain = [await makeLayer('a'), await makeLayer('b')];
  const heldChain = [await makeLayer('held')];
  await makeLayer('loose layer');
  await records.add(imageRecord('app', { blobs: [used], chain }));
  const gone = imageRecord('gone', { chain: heldChain });
  await records.add(gone);
  holds.add(gone.id, 'c');
  await records.hide(gone.id, () => holds.has(gone.id));
  const lease = leases.open();
  lease.add(leased);
  await collector.sweep();
  assert.deepEqual(content.list().sort(), [used, leased].sort());
  assert.deepEqual(
    layers
      .list()
      .map((layer) => layer.chainId)
      .sort(),
    [...chain, ...heldChain].sort(),
  );
  assert.equal(content.size(loose), undefined);

  lease.end();
  holds.remove(gone.id, 'c');
  await collector.sweep();
  assert.deepEqual(content.list(), [used]);
  assert.deepEqual(
    layers
      .list()
      .map((layer) => layer.chainId)
      .sort(),
    chain.toSorted(),
  );
  await records.hide(digestOf('app'), () => false);
  await collector.sweep();
  assert.deepEqual(
    [content.list(), layers.list(), content.usage(), layers.usage()],
    [[], [], { bytes: 0, inodes: 0 }, { bytes: 0, inodes: 0 }],
  );
});

test('a pull that ends in the middle of a sweep keeps what it brought', async (t) => {
  const { content, records, leases, collector, makeLayer, native } = await setUp(t);
  await makeLayer('in the way');
  const blob = await putBlob(content, 'brought');
  const lease = leases.open();
  lease.add(blob);
  const removing = gate();
  const going = gate();
  native.onRemove = async () => {
    removing.open();
    await going.passed;
  };
  const sweep = collector.sweep();
  await removing.passed;
  await records.add(imageRecord('app', { blobs: [blob] }));
  lease.end();
  going.open();
  await sweep;
  assert.deepEqual(content.list(), [blob]);
});

test('what was cut off is spared for a day, what an image had is not', async (t) => {
  const { content, records, collector, root } = await setUp(t);
  const spare = { spare: DAY };
  const [fresh, old, removed] = [
    await putBlob(content, 'fresh'),
    await putBlob(content, 'old'),
    await putBlob(content, 'removed'),
  ];
  const long = new Date(Date.now() - DAY - 1000);
  await utimes(content.path(old), long, long);
  const partial = await content.resume(digestOf('partial'));
  await partial.append(
    (async function* () {
      yield Buffer.from('half');
    })(),
    { limit: 10, what: 'p' },
  );
  await content.suspend(partial);
  await records.add(imageRecord('app', { blobs: [removed] }));

  const again = await imageParts(root);
  await again.records.add(imageRecord('app', { blobs: [removed] }));
  await again.records.hide(digestOf('app'), () => false);
  await again.collector.sweep(spare);
  assert.deepEqual(again.content.list(), [fresh]);
  assert.deepEqual(again.content.partials(), [digestOf('partial')]);
  await again.collector.sweep();
  assert.deepEqual([again.content.list(), again.content.partials()], [[], []]);
  await collector.sweep();
});

test('what cannot be removed keeps nothing else, is told, and is tried again', async (t) => {
  const { content, layers, collector, makeLayer, native, problems } = await setUp(t);
  await makeLayer('stuck');
  await makeLayer('other');
  await putBlob(content, 'blob');
  native.onRemove = async (path) => {
    if (path.endsWith('/1')) throw Object.assign(new Error('EBUSY'), { code: 'EBUSY' });
  };
  await assert.rejects(collector.sweep(), /EBUSY/);
  assert.deepEqual([layers.list(), content.list()], [[], []]);
  assert.equal(layers.usage().inodes, 2, 'it still takes space');
  await collector.sweep();
  assert.equal(problems.length, 1);
  await makeLayer('new');
  assert.equal(layers.list()[0]?.directory, 2, 'its number is not given away');
  native.onRemove = async () => {};
  await collector.sweep();
  assert.deepEqual(layers.usage(), { bytes: 0, inodes: 0 });
});

test('a layer that another pull waits for keeps its blob when its own pull gives up', async (t) => {
  const { content, layers, leases, collector, native, root } = await setUp(t);
  const unpacker = new Unpacker(content, layers, leases, native);
  const diffId = digestOf('the tree');
  const [a, b] = [await putBlob(content, 'packed one way'), await putBlob(content, 'another')];
  native.diffIds = new Map([a, b].map((digest) => [hexOf(digest), hexOf(diffId)]));
  const applying = gate();
  const going = gate();
  const seen: boolean[] = [];
  native.onApply = async (blob) => {
    applying.open();
    await going.passed;
    seen.push(existsSync(blob));
  };
  const pull = (blob: Digest, signal?: AbortSignal) => {
    const lease = leases.open();
    lease.add(blob);
    lease.add(diffId);
    return unpacker
      .unpack([{ diffId, blob: Promise.resolve(blob) }], 'image', signal)
      .finally(() => lease.end());
  };
  const stop = new AbortController();
  const first = pull(a, stop.signal);
  await applying.passed;
  const second = pull(b);
  stop.abort();
  await assert.rejects(first, { kind: 'Cancelled' });
  await collector.sweep();
  assert.deepEqual(content.list().sort(), [a, b].sort(), 'the work has leases of its own');
  going.open();
  await second;
  assert.deepEqual(seen, [true]);
  assert.equal(existsSync(join(root, 'layers/1/fs/file')), true);
  await collector.sweep();
  assert.deepEqual(content.list(), [], 'and they end with it');
});

test('a damaged blob fails its own pull; who waits for the same layer takes his own blob', async (t) => {
  const { content, layers, leases, native } = await setUp(t);
  const unpacker = new Unpacker(content, layers, leases, native);
  const diffId = digestOf('the tree');
  const [bad, good] = [await putBlob(content, 'bad'), await putBlob(content, 'good')];
  native.diffIds = new Map([
    [hexOf(bad), hexOf(digestOf('another tree'))],
    [hexOf(good), hexOf(diffId)],
  ]);
  native.onApply = () => sleep(20);
  const stack = (blob: Digest) => [{ diffId, blob: Promise.resolve(blob) }];
  const results = await Promise.allSettled([
    unpacker.unpack(stack(bad), 'bad image'),
    unpacker.unpack(stack(good), 'good image'),
  ]);
  assert.deepEqual(
    results.map((result) => result.status),
    ['rejected', 'fulfilled'],
  );
  assert.equal(layers.list().length, 1);
});

test('an image whose record is being deleted is used by nobody new', async (t) => {
  const { records, backend } = await setUp(t);
  const image = imageRecord('app');
  await records.add(image);
  const writing = gate();
  backend.gate = writing.passed;
  const hidden = records.hide(image.id, () => false);
  await sleep(5);
  assert.equal(records.get(image.id), undefined);
  writing.open();
  await hidden;
  assert.deepEqual(records.all(), []);
});

test('a tag that moves leaves the old image its digest', async (t) => {
  const { records } = await setUp(t);
  const old = imageRecord('old', { tags: ['r/app:1', 'r/app:2'] });
  await records.add(old);
  await records.add(imageRecord('new', { tags: ['r/app:1'] }));
  assert.deepEqual(records.get(old.id)?.tags, ['r/app:2']);
  assert.deepEqual(records.get(old.id)?.digests, old.digests);
  assert.deepEqual(records.get(digestOf('new'))?.tags, ['r/app:1']);
});

test('a write that fails changes nothing, and a removal can be tried again', async (t) => {
  const { records, backend } = await setUp(t);
  const image = imageRecord('app');
  await records.add(image);
  backend.failCommit = () => Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
  await assert.rejects(
    records.hide(image.id, () => false),
    { reason: 'DiskFull' },
  );
  assert.equal(records.get(image.id)?.id, image.id);
  await assert.rejects(records.add(imageRecord('b', { tags: image.tags })), {
    reason: 'DiskFull',
  });
  assert.deepEqual(records.get(image.id)?.tags, image.tags);
  backend.failCommit = undefined;
  await records.hide(image.id, () => false);
  assert.deepEqual(records.all(), []);
});

test('pinned images are named in full, in short, or by a pattern', () => {
  const pause = imageRecord('', {
    tags: ['registry.k8s.io/pause:3.10', 'docker.io/library/busybox:latest'],
    digests: [`registry.k8s.io/pause@${digestOf('p')}`],
  });
  const yes = [
    'registry.k8s.io/pause:3.10',
    'registry.k8s.io/pause:*',
    'registry.k8s.io/pause*',
    'registry.k8s.io/*',
    `registry.k8s.io/pause@${digestOf('p')}`,
    'busybox',
    'busybox:*',
    'docker.io/busybox',
    '*/pause:3.1*',
    '*',
  ];
  const no = ['registry.k8s.io/pause', 'pause:3.10', 'busy', 'busybox:1', 'registry.k8s.io/p.use*'];
  for (const pattern of yes) assert.equal(new PinnedImages([pattern]).has(pause), true, pattern);
  for (const pattern of no) assert.equal(new PinnedImages([pattern]).has(pause), false, pattern);
  assert.equal(new PinnedImages([]).has(pause), false);
  assert.throws(() => new PinnedImages(['Bad:Name']), {
    kind: 'InvalidArgument',
    message: /pinned image "Bad:Name"/,
  });
});
