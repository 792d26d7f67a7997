/** Updates of resource limits: what they make of those in force, and what has to be set anew. Pure. */
import type { LinuxResources, PodResources } from './config.ts';
import type { Resources } from './oci.ts';
import { containerResources } from './resources.ts';

/** The fields that only replace their former value. */
const PLAIN = [
  'cpuShares',
  'cpuQuota',
  'cpuPeriod',
  'cpusetCpus',
  'cpusetMems',
  'memoryLimit',
  'memorySwapLimit',
  'oomScoreAdj',
  'pidsLimit',
] as const;

/**
 * The limits after an update: what `change` leaves out stays. A memory limit without one for memory
 * and swap takes swap away again, as at a creation; no memory limit (−1) means none for both.
 */
export function mergeResources(current: LinuxResources, change: LinuxResources): LinuxResources {
  const merged: LinuxResources = { ...current };
  if (change.memoryLimit !== undefined && change.memorySwapLimit === undefined) {
    if (change.memoryLimit < 0) merged.memorySwapLimit = -1;
    else delete merged.memorySwapLimit;
  }
  for (const field of PLAIN) {
    const value = change[field];
    if (value !== undefined) Object.assign(merged, { [field]: value });
  }
  if (change.hugepageLimits) {
    const sizes = [...(current.hugepageLimits ?? []), ...change.hugepageLimits];
    merged.hugepageLimits = [...new Map(sizes.map((each) => [each.pageSize, each])).values()];
  }
  if (change.unified) merged.unified = { ...current.unified, ...change.unified };
  return merged;
}

/**
 * The part of the merged limits that an update has to set, and no more: a value that nobody asked
 * to change may have been changed by others. Those that one file keeps together (cpu.max), or of
 * which one bounds the other (memory and its total with swap), go together.
 */
export function limitsToSet(merged: LinuxResources, change: LinuxResources): Resources {
  const all = containerResources(merged);
  const set = (...fields: (keyof LinuxResources)[]) =>
    fields.some((field) => change[field] !== undefined);
  const cpu = {
    ...(set('cpuShares') && pick(all.cpu, 'shares')),
    ...(set('cpuQuota', 'cpuPeriod') && pick(all.cpu, 'quota', 'period')),
    ...(set('cpusetCpus') && pick(all.cpu, 'cpus')),
    ...(set('cpusetMems') && pick(all.cpu, 'mems')),
  };
  return {
    ...(Object.keys(cpu).length > 0 && { cpu }),
    ...(set('memoryLimit', 'memorySwapLimit') && all.memory && { memory: all.memory }),
    ...(set('pidsLimit') && all.pids && { pids: all.pids }),
    ...(change.hugepageLimits && { hugepageLimits: change.hugepageLimits }),
    ...(change.unified && { unified: change.unified }),
  };
}

/**
 * What a pod's cgroup is limited to: its containers' sum and the pod's own overhead. Overhead adds
 * to a limit that there is; by itself it limits nothing.
 */
export function podLimits({ resources = {}, overhead = {} }: PodResources): LinuxResources {
  const { memorySwapLimit, ...rest } = resources;
  const limits: LinuxResources = { ...rest };
  delete limits.oomScoreAdj;
  if (memorySwapLimit !== undefined) {
    limits.memorySwapLimit = plus(memorySwapLimit, overhead.memoryLimit);
  }
  if (resources.memoryLimit !== undefined) {
    limits.memoryLimit = plus(resources.memoryLimit, overhead.memoryLimit);
  }
  if (resources.cpuShares !== undefined) {
    limits.cpuShares = plus(resources.cpuShares, overhead.cpuShares);
  }
  if (resources.cpuQuota !== undefined && overhead.cpuQuota !== undefined) {
    const scale = (resources.cpuPeriod ?? PERIOD) / (overhead.cpuPeriod ?? PERIOD);
    limits.cpuQuota = plus(resources.cpuQuota, Math.round(overhead.cpuQuota * scale));
  }
  return limits;
}

/** The kernel's default of cpu.cfs_period_us and cpu.max, µs. */
const PERIOD = 100_000;

/** "No limit" stays that. */
function plus(limit: number, more = 0): number {
  return limit < 0 || more < 0 ? limit : limit + more;
}

function pick<T extends object, K extends keyof T>(from: T | undefined, ...keys: K[]): Pick<T, K> {
  const entries = keys.filter((key) => from?.[key] !== undefined).map((key) => [key, from?.[key]]);
  return Object.fromEntries(entries) as Pick<T, K>;
}
