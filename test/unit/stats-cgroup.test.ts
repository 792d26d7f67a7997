import assert from 'node:assert/strict';
import { basename } from 'node:path';
import { test } from 'node:test';
import type { CgroupLayout } from '../../src/runtime/cgroup/layout.ts';
import { pressureOf, single } from '../../src/runtime/stats/parse.ts';
import { cpuPlan, detailPlan, usagePlan } from '../../src/runtime/stats/read-plan.ts';
import { V1_FILES, V2_FILES } from '../helpers/cgroup-files.ts';
import { V1, V2 } from '../helpers/cgroup-layouts.ts';

const SIZES = ['2MB'];
const root = '/sys/fs/cgroup';
const FULL_V1: CgroupLayout = {
  mode: 'v1',
  v1: [
    ...V1.v1,
    { root: `${root}/blkio`, controllers: ['blkio'] },
    { root: `${root}/hugetlb`, controllers: ['hugetlb'] },
  ],
};

/** What a plan finds where the cgroup "/pod/c" has these files. */
function parsed(plan: ReturnType<typeof usagePlan>, files: Readonly<Record<string, string>>) {
  const paths = plan.paths('/pod/c');
  assert.equal(paths.length, plan.length);
  assert.ok(
    paths.every((path) => path.includes('/pod/c/')),
    'all in the cgroup',
  );
  return plan.parse(paths.map((path) => files[basename(path)] ?? null));
}

test('the usage of a v1 cgroup', () => {
  assert.deepEqual(parsed(usagePlan(FULL_V1), V1_FILES), {
    cpu: { total: 20_500_123_456n },
    memory: {
      usage: 41_943_040n,
      workingSet: 20_971_520n,
      rss: 9_437_184n,
      pageFaults: 163_000n,
      majorPageFaults: 15n,
      limit: 67_108_864n,
    },
    // The limit of swap alone: that of both, less that of memory.
    swap: { usage: 2_097_152n, limit: 33_554_432n },
  });
});

test('the usage of a v2 cgroup', () => {
  const usage = parsed(usagePlan(V2), V2_FILES);
  const v1 = parsed(usagePlan(FULL_V1), V1_FILES);
  assert.deepEqual(usage.memory, v1.memory, 'as on v1, where the same has happened');
  assert.deepEqual(usage.swap, v1.swap);
  assert.deepEqual(usage.cpu, {
    total: 20_500_123_000n,
    user: 18_300_100_000n,
    system: 2_200_023_000n,
  });
  assert.deepEqual(usage.pressure?.cpu, {
    some: { total: 8_712_345_000n, avg10: 12.34, avg60: 5.6, avg300: 1.02 },
    full: { total: 0n, avg10: 0, avg60: 0, avg300: 0 },
  });
  assert.equal(usage.pressure?.memory?.full?.total, 1_500_000n);
  assert.equal(usage.pressure?.io?.some?.total, 2_000_000_000n);
});

test('all that is to be known is the same on both, but for what only one counts', () => {
  const v1 = parsed(detailPlan(FULL_V1, SIZES), V1_FILES);
  const v2 = parsed(detailPlan(V2, SIZES), V2_FILES);
  assert.deepEqual(v1.cpu, {
    total: 20_500_123_456n,
    user: 18_300_100_000n,
    system: 2_200_023_456n,
  });
  assert.deepEqual(v1.throttling, {
    periods: 310n,
    throttledPeriods: 205n,
    throttled: 14_200_300_400n,
  });
  assert.deepEqual(v2.throttling, { ...v1.throttling, throttled: 14_200_300_000n });
  assert.deepEqual(v1.cpuLimit, { shares: 512n, quota: 20_000n, period: 100_000n });
  assert.deepEqual(v2.cpuLimit, { shares: 1024n, quota: 20_000n, period: 100_000n });
  assert.deepEqual(v1.memoryDetail, {
    cache: 31_457_280n,
    mappedFile: 4_194_304n,
    activeFile: 10_485_760n,
    inactiveFile: 20_971_520n,
    kernel: 1_204_224n,
    maxUsage: 62_914_560n,
    limitHits: 21n,
    oomKills: 2n,
    ownPageFaults: 162_676n,
    ownMajorPageFaults: 12n,
  });
  const { ownPageFaults, ownMajorPageFaults, ...both } = v1.memoryDetail ?? {};
  assert.ok(ownPageFaults && ownMajorPageFaults, 'only v1 has them');
  assert.deepEqual(v2.memoryDetail, { ...both, limitHits: 17n });
  assert.deepEqual(v1.memoryLimit, { limit: 67_108_864n, withSwap: 100_663_296n });
  assert.deepEqual(v2.memoryLimit, v1.memoryLimit);
  assert.deepEqual(v1.io, [
    { major: '254', minor: '0', readBytes: 8192n, writeBytes: 1048576n, reads: 2n, writes: 16n },
    { major: '8', minor: '16', readBytes: 4096n, writeBytes: 0n, reads: 1n, writes: 0n },
  ]);
  assert.deepEqual(v2.io, v1.io);
  assert.deepEqual(v1.threads, { current: 7n }, 'without a limit');
  assert.deepEqual(v2.threads, { current: 7n, limit: 100n });
  assert.deepEqual(v1.hugepages, [{ size: '2MB', usage: 4_194_304n, maxUsage: 6_291_456n }]);
  assert.deepEqual(v2.hugepages, [{ size: '2MB', usage: 4_194_304n }]);
});

test('a host with both hierarchies reads each thing where its controller is', () => {
  const layout: CgroupLayout = {
    mode: 'hybrid',
    v1: FULL_V1.v1.filter(({ controllers }) => !controllers.includes('hugetlb')),
    v2: { root: `${root}/unified`, controllers: ['hugetlb'] },
  };
  const usage = parsed(detailPlan(layout, SIZES), {
    ...V2_FILES,
    ...V1_FILES,
  });
  assert.equal(usage.cpu?.total, 20_500_123_456n, 'of cpuacct');
  assert.ok(usage.memoryDetail?.ownPageFaults, 'of v1');
  assert.deepEqual(usage.hugepages, [{ size: '2MB', usage: 4_194_304n }], 'of v2');
  assert.ok(usage.pressure?.io, 'which every v2 cgroup has');
  const noCpuacct = { ...layout, v1: layout.v1.filter((h) => !h.controllers.includes('cpuacct')) };
  const { cpu } = parsed(cpuPlan(noCpuacct), V2_FILES);
  assert.equal(cpu?.total, 20_500_123_000n, 'every v2 cgroup has cpu.stat, too');
});

test('what the host does not count is absent, not 0', () => {
  for (const layout of [FULL_V1, V2]) {
    assert.deepEqual(parsed(usagePlan(layout), {}), {}, layout.mode);
    const { io, ...rest } = parsed(detailPlan(layout, SIZES), {});
    assert.deepEqual(rest, {}, layout.mode);
    assert.deepEqual(io, [], 'no device was used');
  }
  const unlimited = parsed(usagePlan(FULL_V1), {
    ...V1_FILES,
    'memory.stat': (V1_FILES['memory.stat'] ?? '').replaceAll(
      /(hierarchical_mem\w*) \d+/g,
      '$1 9223372036854771712',
    ),
  });
  assert.equal(unlimited.memory?.limit, undefined);
  assert.deepEqual(unlimited.swap, { usage: 2_097_152n });
  const noSwapAccount = parsed(usagePlan(V2), {
    ...V2_FILES,
    'memory.swap.current': '',
    'memory.max': 'max\n',
  });
  assert.equal(noSwapAccount.swap, undefined);
  assert.equal(noSwapAccount.memory?.limit, undefined);
  const noQuota = parsed(detailPlan(V2, SIZES), { ...V2_FILES, 'cpu.max': 'max 100000\n' });
  assert.deepEqual(noQuota.cpuLimit, { shares: 1024n, period: 100_000n });
  const v1NoQuota = parsed(detailPlan(FULL_V1, SIZES), { ...V1_FILES, 'cpu.cfs_quota_us': '-1\n' });
  assert.equal(v1NoQuota.cpuLimit?.quota, undefined);
});

test('kernels before 5.18 tell the parts of kernel memory, not the sum', () => {
  const stat = (V2_FILES['memory.stat'] ?? '').replace(/^kernel \d+\n/m, '');
  const usage = parsed(detailPlan(V2, SIZES), { ...V2_FILES, 'memory.stat': stat });
  assert.equal(usage.memoryDetail?.kernel, 114_688n + 163_840n + 1_920n + 4_096n + 919_632n);
});

test('numbers and pressure that are none', () => {
  for (const text of [undefined, '', 'max\n', '-1', '12 34', 'x']) {
    assert.equal(single(text), undefined, String(text));
  }
  assert.equal(single('18446744073709551615\n'), 2n ** 64n - 1n);
  assert.equal(pressureOf(''), undefined);
  assert.equal(pressureOf('some avg10=0.00\n'), undefined);
  // Before Linux 5.13 the CPU has no "full" line.
  assert.deepEqual(
    Object.keys(pressureOf('some avg10=0.00 avg60=0.00 avg300=0.00 total=9') ?? {}),
    ['some'],
  );
});
