import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type DeepPartial, LinuxContainerResources } from '../../src/cri/gen/cri.ts';
import { resourcesFromCri } from '../../src/cri/translate-resources.ts';
import type { LinuxResources } from '../../src/spec/config.ts';

type Message = DeepPartial<LinuxContainerResources>;

const translate = (message: Message) =>
  resourcesFromCri('r', LinuxContainerResources.fromPartial(message));

describe('resource limits from CRI', () => {
  const valid: [Message, LinuxResources][] = [
    [{}, {}],
    [{ cpuShares: 1n }, { cpuShares: 2 }],
    [{ cpuShares: 1_000_000n }, { cpuShares: 262_144 }],
    [
      { cpuQuota: 50_000n, cpuPeriod: 100_000n },
      { cpuQuota: 50_000, cpuPeriod: 100_000 },
    ],
    [{ cpuQuota: -5n }, { cpuQuota: -1 }],
    [
      { cpusetCpus: '0-3,8', cpusetMems: '0' },
      { cpusetCpus: '0-3,8', cpusetMems: '0' },
    ],
    [{ memoryLimitInBytes: 1n << 30n }, { memoryLimit: 2 ** 30 }],
    [{ memoryLimitInBytes: -1n }, {}],
    [
      { memoryLimitInBytes: 10n, memorySwapLimitInBytes: 10n },
      { memoryLimit: 10, memorySwapLimit: 10 },
    ],
    [{ memorySwapLimitInBytes: -1n }, { memorySwapLimit: -1 }],
    [{ oomScoreAdj: -999n }, { oomScoreAdj: -999 }],
    [
      {
        hugepageLimits: [
          { pageSize: '2MB', limit: 0n },
          { pageSize: '1GB', limit: 1n << 30n },
        ],
      },
      {
        hugepageLimits: [
          { pageSize: '2MB', limit: 0 },
          { pageSize: '1GB', limit: 2 ** 30 },
        ],
      },
    ],
    [{ unified: { 'memory.high': '1G' } }, { unified: { 'memory.high': '1G' } }],
    [{ unified: { 'hugetlb.2MB.max': '0' } }, { unified: { 'hugetlb.2MB.max': '0' } }],
  ];
  for (const [message, expected] of valid) {
    it(`${JSON.stringify(message, (_, v) => (typeof v === 'bigint' ? Number(v) : v))}`, () => {
      assert.deepEqual(translate(message), expected);
    });
  }

  const invalid: [Message, string][] = [
    [{ cpuShares: -1n }, 'r.cpu_shares: -1 must be'],
    [{ cpuPeriod: 999n }, 'r.cpu_period: 999 must be between 1000 and 1000000'],
    [{ cpusetCpus: 'all' }, 'r.cpuset_cpus: "all" is not a list'],
    [{ cpusetMems: '0,' }, 'r.cpuset_mems: "0," is not a list'],
    [{ memoryLimitInBytes: -2n }, 'r.memory_limit_in_bytes: -2 must be'],
    [{ memoryLimitInBytes: 1n << 60n }, 'r.memory_limit_in_bytes: "1152921504606846976" must be'],
    [
      { memoryLimitInBytes: 10n, memorySwapLimitInBytes: 9n },
      'r.memory_swap_limit_in_bytes: 9 counts memory and swap together',
    ],
    [{ oomScoreAdj: 1001n }, 'r.oom_score_adj: 1001 must be between -1000 and 1000'],
    [{ hugepageLimits: [{ pageSize: '2M' }] }, 'r.hugepage_limits[0].page_size: "2M" is not'],
    [
      { hugepageLimits: [{ pageSize: '2MB', limit: 1n << 63n }] },
      'r.hugepage_limits[0].limit: "9223372036854775808" must be',
    ],
    [{ unified: { '../memory.max': '1' } }, 'r.unified["../memory.max"]: "1" is not keyed'],
    [{ unified: { memory: '1' } }, 'r.unified["memory"]: "1" is not keyed'],
    [{ unified: { 'memory.max': '\0' } }, 'r.unified["memory.max"]: "\\u0000" must not contain'],
  ];
  for (const [message, begin] of invalid) {
    it(`refuses ${begin}`, () => {
      assert.throws(
        () => translate(message),
        (error: Error & { kind: string }) =>
          error.kind === 'InvalidArgument' && error.message.startsWith(begin),
      );
    });
  }
});
