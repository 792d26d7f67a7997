import { invalid, quote } from '../errors.ts';
import type { LinuxResources } from '../spec/config.ts';
import { integer, withoutNul } from './fields.ts';
import type { HugepageLimit, LinuxContainerResources } from './gen/cri.ts';

/** What the kernel clamps cpu.shares to (kernel/sched/core.c, MIN_SHARES and MAX_SHARES). */
const LEAST_SHARES = 2;
const MOST_SHARES = 262_144;

/** A list of CPUs or memory nodes in the form of cpuset(7): "0-3,8". */
const LIST = /^\d+(-\d+)?(,\d+(-\d+)?)*$/;

/** "64KB", "2MB", "1GB", as in the names of the hugetlb controller's files. */
const PAGE_SIZE = /^[1-9]\d*(KB|MB|GB)$/;

/**
 * Resource limits. In the message zero and empty mean "not given" and become absent here.
 * `field` is the message's own path: "config.linux.resources".
 */
export function resourcesFromCri(field: string, message: LinuxContainerResources): LinuxResources {
  const resources: LinuxResources = {};
  const at = (name: string) => `${field}.${name}`;
  if (message.cpuShares !== 0n) {
    const shares = integer(at('cpu_shares'), message.cpuShares, 1);
    resources.cpuShares = Math.min(Math.max(shares, LEAST_SHARES), MOST_SHARES);
  }
  if (message.cpuQuota !== 0n) {
    resources.cpuQuota = message.cpuQuota < 0n ? -1 : integer(at('cpu_quota'), message.cpuQuota, 1);
  }
  if (message.cpuPeriod !== 0n) {
    resources.cpuPeriod = integer(at('cpu_period'), message.cpuPeriod, 1_000, 1_000_000);
  }
  if (message.cpusetCpus) resources.cpusetCpus = list(at('cpuset_cpus'), message.cpusetCpus);
  if (message.cpusetMems) resources.cpusetMems = list(at('cpuset_mems'), message.cpusetMems);
  // -1 is how some clients spell "no limit", which is what absence means.
  if (message.memoryLimitInBytes !== 0n && message.memoryLimitInBytes !== -1n) {
    resources.memoryLimit = integer(at('memory_limit_in_bytes'), message.memoryLimitInBytes, 1);
  }
  if (message.memorySwapLimitInBytes !== 0n) {
    resources.memorySwapLimit = swapLimit(
      at('memory_swap_limit_in_bytes'),
      message.memorySwapLimitInBytes,
      resources.memoryLimit,
    );
  }
  if (message.oomScoreAdj !== 0n) {
    resources.oomScoreAdj = integer(at('oom_score_adj'), message.oomScoreAdj, -1000, 1000);
  }
  if (message.hugepageLimits.length > 0) {
    resources.hugepageLimits = message.hugepageLimits.map((limit, index) =>
      hugepageLimit(at(`hugepage_limits[${index}]`), limit),
    );
  }
  const unified = Object.entries(message.unified);
  if (unified.length > 0) {
    resources.unified = Object.fromEntries(unified.map((entry) => unifiedEntry(field, entry)));
  }
  return resources;
}

/** Limits to be changed: as `resourcesFromCri`, but no memory limit (−1) is something to be set. */
export function changeFromCri(field: string, message: LinuxContainerResources): LinuxResources {
  const change = resourcesFromCri(field, message);
  if (message.memoryLimitInBytes === -1n) change.memoryLimit = -1;
  return change;
}

function list(field: string, value: string): string {
  if (!LIST.test(value)) throw invalid(field, value, 'is not a list such as "0-3,8"');
  return value;
}

function swapLimit(field: string, value: bigint, memory: number | undefined): number {
  if (value < 0n) return -1;
  const limit = integer(field, value, 1);
  if (memory !== undefined && limit < memory) {
    throw invalid(field, limit, 'counts memory and swap together: it is below the memory limit');
  }
  return limit;
}

function hugepageLimit(field: string, { pageSize, limit }: HugepageLimit) {
  if (!PAGE_SIZE.test(pageSize)) {
    throw invalid(`${field}.page_size`, pageSize, 'is not a page size such as "2MB"');
  }
  return { pageSize, limit: integer(`${field}.limit`, limit, 0) };
}

/** Keys are file names in the container's own cgroup; a slash would lead to another one. */
function unifiedEntry(field: string, [key, value]: [string, string]): [string, string] {
  const name = `${field}.unified[${quote(key)}]`;
  if (!/^[a-z0-9_]+(\.[A-Za-z0-9_]+)+$/.test(key)) {
    throw invalid(name, value, 'is not keyed by the name of a cgroup file such as "memory.high"');
  }
  return [key, withoutNul(name, value)];
}
