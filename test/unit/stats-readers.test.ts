/** Rates, writable layers, interfaces and batches, with readings that the tests make up. */
import assert from 'node:assert/strict';
import { basename } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ProcessCounts, TreeUsage } from '../../src/native/stats-types.ts';
import { defaultInterface, parseInterfaces } from '../../src/runtime/stats/interfaces.ts';
import { hugepageSizes } from '../../src/runtime/stats/open-stats.ts';
import { softLimit } from '../../src/runtime/stats/pod-detail.ts';
import { CpuRates } from '../../src/runtime/stats/rates.ts';
import { mountSource } from '../../src/runtime/stats/root-disk.ts';
import { UsageReader } from '../../src/runtime/stats/usage-reader.ts';
import { WritableLayers } from '../../src/runtime/stats/writable-layers.ts';
import { V1_FILES } from '../helpers/cgroup-files.ts';
import { V1 } from '../helpers/cgroup-layouts.ts';

const SECOND = 1_000_000_000n;

test('a rate is what was used since the last reading that is a second old', () => {
  const rates = new CpuRates();
  const read = (at: bigint, total: bigint) => rates.take('/c', { at, total });
  assert.equal(read(0n, 0n), undefined, 'nothing to compare with');
  assert.equal(read(SECOND, SECOND / 2n), SECOND / 2n);
  assert.equal(read(SECOND + SECOND / 2n, SECOND), (SECOND * 2n) / 3n, 'since the very first');
  assert.equal(read(3n * SECOND, SECOND), SECOND / 4n);
  assert.equal(read(13n * SECOND, 21n * SECOND), 2n * SECOND, 'two cores');
  assert.equal(read(14n * SECOND, 0n), undefined, 'another cgroup of that name');
  assert.equal(read(500n * SECOND, SECOND), undefined, 'what was read long ago is forgotten');
});

test('a container that has just started is rated since its start, an old one is not', () => {
  const reading = { at: 100n * SECOND, total: 2n * SECOND };
  assert.equal(new CpuRates().take('/c', reading, 4n * SECOND), SECOND / 2n);
  assert.equal(new CpuRates().take('/c', reading, 4000n * SECOND), undefined);
  assert.equal(new CpuRates().take('/c', reading, 1n), undefined, 'too short to tell');
});

test('readings of cgroups that nobody asks for any more are dropped', () => {
  const rates = new CpuRates();
  for (let i = 0; i < 100; i += 1) rates.take(`/${i}`, { at: 0n, total: 0n });
  assert.equal(rates.size, 100);
  rates.take('/new', { at: 300n * SECOND, total: 0n });
  assert.equal(rates.size, 1);
});

/** An addon whose cgroups all have these files, and use one core. */
function fakeAddon(files: Readonly<Record<string, string>>) {
  const batches: string[][] = [];
  return {
    batches,
    readFiles: async (paths: string[]) => {
      batches.push(paths);
      const readAt = process.hrtime.bigint();
      const texts = paths.map((path) =>
        path.endsWith('/cpuacct.usage') ? `${readAt}\n` : (files[basename(path)] ?? null),
      );
      return { readAt, texts };
    },
    countProcesses: async (dirs: string[]): Promise<(ProcessCounts | null)[]> =>
      dirs.map(() => ({ processes: 1, threads: 1 })),
  };
}

test('many cgroups are read in batches, and rated by a second look', async () => {
  const addon = fakeAddon(V1_FILES);
  const reader = new UsageReader(addon, V1, []);
  const targets = Array.from({ length: 1000 }, (_, index) => ({ path: `/pod/${index}` }));
  const samples = await reader.sample(targets);
  assert.equal(samples.length, 1000);
  assert.ok(addon.batches.every((paths) => paths.length <= 256));
  assert.ok(
    samples.every(({ nanoCores }) => nanoCores === SECOND),
    'one core',
  );
  assert.ok(samples.every(({ timestamp, usage }) => timestamp > 0n && usage.memory));
  const looks = addon.batches.flat().filter((path) => path.endsWith('/999/cpuacct.usage'));
  assert.equal(looks.length, 2);
  await reader.sample(targets.slice(0, 1));
  assert.equal(addon.batches.flat().filter((path) => path.includes('/pod/0/cpu')).length, 3);
});

test('a list whose caller has gone is not read to its end', async () => {
  const addon = fakeAddon(V1_FILES);
  const reader = new UsageReader(addon, V1, []);
  const targets = Array.from({ length: 1000 }, (_, index) => ({ path: `/pod/${index}` }));
  const controller = new AbortController();
  const reading = reader.detail(targets, controller.signal);
  controller.abort(new Error('gone'));
  await assert.rejects(reading, /gone/);
  assert.equal(addon.batches.length, 1);
});

/** Trees whose walks the test ends one by one. */
function fakeTrees() {
  const walks: { path: string; end: (usage: TreeUsage) => void; fail: () => void }[] = [];
  const measureTree = ({ path }: { path: string }, signal?: AbortSignal) =>
    new Promise<TreeUsage>((resolve, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason));
      walks.push({ path, end: resolve, fail: () => reject(new Error('no such directory')) });
    });
  return { walks, layers: new WritableLayers({ measureTree }) };
}

const target = (id: string, ended = false) => ({ id, path: `/${id}`, ended });

test('a layer is walked once for all who ask, and the answer kept for a while', async () => {
  const { walks, layers } = fakeTrees();
  const asked = [layers.usage([target('a')]), layers.usage([target('a')])];
  await sleep(1);
  assert.deepEqual(
    walks.map(({ path }) => path),
    ['/a'],
  );
  walks[0]?.end({ bytes: 4096, inodes: 1 });
  for (const [usage] of await Promise.all(asked)) {
    assert.deepEqual([usage?.bytes, usage?.inodes], [4096, 1]);
  }
  assert.equal((await layers.usage([target('a')]))[0]?.bytes, 4096);
  assert.equal(walks.length, 1, 'still good');
});

test('one walk at a time; an answer waits a second at most', async () => {
  const { walks, layers } = fakeTrees();
  const began = performance.now();
  const usage = await layers.usage([target('a'), target('b')]);
  assert.deepEqual(usage, [undefined, undefined]);
  const took = performance.now() - began;
  assert.ok(took > 900 && took < 3000, `${took} ms`);
  assert.equal(walks.length, 1);
  walks[0]?.end({ bytes: 1, inodes: 1 });
  await sleep(1);
  assert.equal(walks.length, 2);
  await layers.close();
});

test('a layer that is not there has no usage; those of removed containers are forgotten', async () => {
  const { walks, layers } = fakeTrees();
  const asked = layers.usage([target('a', true)]);
  await sleep(1);
  walks[0]?.fail();
  assert.deepEqual(await asked, [undefined]);
  layers.retain(() => false);
  const again = layers.usage([target('a')]);
  await sleep(1);
  assert.equal(walks.length, 2, 'it is a new one');
  walks[1]?.end({ bytes: 1, inodes: 1 });
  assert.equal((await again)[0]?.bytes, 1);
});

test('closing breaks off the walk and begins no other', async () => {
  const { walks, layers } = fakeTrees();
  const asked = layers.usage([target('a'), target('b')]);
  await sleep(1);
  await layers.close();
  assert.deepEqual(await asked, [undefined, undefined]);
  assert.equal(walks.length, 1);
});

const NET_DEV = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 27728983   11269    0    0    0     0          0         0 27728983   11269    0    0    0     0       0          0
 net1:18446744073709551615 5 1 2 0 0 0 0 100 4 3 6 0 0 0 0
  eth0: 1470363616   41501    0    0    0     0          0         0  2979394   30378    0    0    0     0       0          0
`;

test('the interfaces of /proc/PID/net/dev, without the loopback', () => {
  const interfaces = parseInterfaces(NET_DEV);
  assert.deepEqual(
    interfaces.map(({ name }) => name),
    ['net1', 'eth0'],
  );
  assert.deepEqual(interfaces[0], {
    name: 'net1',
    rxBytes: 2n ** 64n - 1n,
    rxPackets: 5n,
    rxErrors: 1n,
    rxDropped: 2n,
    txBytes: 100n,
    txPackets: 4n,
    txErrors: 3n,
    txDropped: 6n,
  });
  assert.equal(defaultInterface(interfaces)?.name, 'eth0');
  assert.equal(defaultInterface(interfaces.slice(0, 1))?.name, 'net1');
  assert.deepEqual(parseInterfaces(''), []);
});

test('the mount that a path is on is the last of the longest', () => {
  const mountinfo = `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
31 22 0:26 / /run rw,nosuid shared:5 - tmpfs tmpfs rw
40 22 254:16 / /var/lib/my\\040root rw - xfs /dev/vdb rw
41 40 254:32 / /var/lib/my\\040root rw - xfs /dev/vdc rw
`;
  assert.equal(mountSource(mountinfo, '/var/lib/my root/containers'), '/dev/vdc');
  assert.equal(mountSource(mountinfo, '/var/lib/my rooted'), '/dev/vda1');
  assert.equal(mountSource(mountinfo, '/run'), 'tmpfs');
});

test('soft limits of /proc/PID/limits, and page sizes of this host', async () => {
  const limits = `Limit                     Soft Limit           Hard Limit           Units
Max open files            1024                 524288               files
Max locked memory         unlimited            unlimited            bytes
`;
  assert.equal(softLimit(limits, 'Max open files'), 1024n);
  assert.equal(softLimit(limits, 'Max locked memory'), undefined);
  assert.equal(softLimit('', 'Max open files'), undefined);
  for (const size of await hugepageSizes()) assert.match(size, /^[1-9]\d*[KMG]B$/);
  assert.deepEqual(await hugepageSizes('/no/such'), []);
});
