import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { LinuxResources, PodResources } from '../../src/spec/config.ts';
import { limitsToSet, mergeResources, podLimits } from '../../src/spec/merge-resources.ts';
import type { Resources } from '../../src/spec/oci.ts';

describe('an update of limits', () => {
  const cases: [string, LinuxResources, LinuxResources, LinuxResources][] = [
    [
      'leaves what it does not name',
      { cpuShares: 512, memoryLimit: 10 },
      { cpuQuota: 5 },
      { cpuShares: 512, memoryLimit: 10, cpuQuota: 5 },
    ],
    ['changes nothing where it is empty', { cpuShares: 512 }, {}, { cpuShares: 512 }],
    [
      'takes swap away with a memory limit of its own',
      { memoryLimit: 10, memorySwapLimit: 30 },
      { memoryLimit: 20 },
      { memoryLimit: 20 },
    ],
    [
      'keeps the memory limit where only the total changes',
      { memoryLimit: 10 },
      { memorySwapLimit: 30 },
      { memoryLimit: 10, memorySwapLimit: 30 },
    ],
    [
      'ends both limits of memory with one',
      { memoryLimit: 10 },
      { memoryLimit: -1 },
      { memoryLimit: -1, memorySwapLimit: -1 },
    ],
    [
      'replaces huge page limits by their size',
      {
        hugepageLimits: [
          { pageSize: '2MB', limit: 1 },
          { pageSize: '1GB', limit: 2 },
        ],
      },
      { hugepageLimits: [{ pageSize: '2MB', limit: 3 }] },
      {
        hugepageLimits: [
          { pageSize: '2MB', limit: 3 },
          { pageSize: '1GB', limit: 2 },
        ],
      },
    ],
    [
      'replaces unified values by their file',
      { unified: { 'memory.high': '1', 'pids.max': '5' } },
      { unified: { 'memory.high': '2' } },
      { unified: { 'memory.high': '2', 'pids.max': '5' } },
    ],
  ];
  for (const [what, before, change, after] of cases) {
    it(what, () => assert.deepEqual(mergeResources(before, change), after));
  }
});

describe('what an update sets', () => {
  const all: LinuxResources = {
    cpuShares: 512,
    cpuQuota: 5000,
    cpuPeriod: 10_000,
    cpusetCpus: '0',
    memoryLimit: 10,
    memorySwapLimit: 30,
    hugepageLimits: [{ pageSize: '2MB', limit: 1 }],
    unified: { 'memory.high': '1' },
  };
  const cases: [LinuxResources, Resources][] = [
    [{}, {}],
    [{ oomScoreAdj: 5 }, {}],
    [{ cpuShares: 512 }, { cpu: { shares: 512 } }],
    [{ cpuQuota: 5000 }, { cpu: { quota: 5000, period: 10_000 } }],
    [{ cpuPeriod: 10_000 }, { cpu: { quota: 5000, period: 10_000 } }],
    [{ cpusetCpus: '0' }, { cpu: { cpus: '0' } }],
    [{ memorySwapLimit: 30 }, { memory: { limit: 10, swap: 30 } }],
    [{ unified: { 'memory.high': '1' } }, { unified: { 'memory.high': '1' } }],
  ];
  for (const [change, expected] of cases) {
    it(`${JSON.stringify(change)} of all`, () => {
      assert.deepEqual(limitsToSet(all, change), expected);
    });
  }

  it('refuses a total that the other limit is above', () => {
    const merged = mergeResources({ memoryLimit: 10 }, { memorySwapLimit: 5 });
    assert.throws(() => limitsToSet(merged, { memorySwapLimit: 5 }), {
      kind: 'InvalidArgument',
      message: /memorySwapLimit: 5/,
    });
  });
});

describe('the limits of a pod', () => {
  const cases: [string, PodResources, LinuxResources][] = [
    ['are none without any', {}, {}],
    ['are none of overhead alone', { overhead: { memoryLimit: 5, cpuShares: 2 } }, {}],
    [
      'are those of its containers and its overhead',
      {
        resources: { memoryLimit: 10, memorySwapLimit: 20, cpuShares: 100, cpusetCpus: '0' },
        overhead: { memoryLimit: 5, cpuShares: 2 },
      },
      { memoryLimit: 15, memorySwapLimit: 25, cpuShares: 102, cpusetCpus: '0' },
    ],
    [
      'count CPU time by the period of the containers',
      {
        resources: { cpuQuota: 10_000, cpuPeriod: 50_000 },
        overhead: { cpuQuota: 10_000 },
      },
      { cpuQuota: 15_000, cpuPeriod: 50_000 },
    ],
    [
      'end where there is none',
      { resources: { memoryLimit: -1, cpuQuota: -1 }, overhead: { memoryLimit: 5, cpuQuota: 5 } },
      { memoryLimit: -1, cpuQuota: -1 },
    ],
    ['leave scores to the containers', { resources: { oomScoreAdj: 5 } }, {}],
  ];
  for (const [what, pod, expected] of cases) {
    it(what, () => assert.deepEqual(podLimits(pod), expected));
  }
});
