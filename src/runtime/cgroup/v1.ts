/** Limits in the files of cgroup v1 controllers (Documentation/admin-guide/cgroup-v1). */
import type { FileOp } from '../../native/types.ts';
import type { DeviceCgroup, Resources } from '../../spec/oci.ts';

/** The writes for those limits of `resources` that this controller keeps. */
export function v1Limits(
  controller: string,
  dir: string,
  resources: Resources,
  previous: Resources = {},
): FileOp[] {
  const { cpu = {}, memory = {}, pids, hugepageLimits = [] } = resources;
  switch (controller) {
    case 'cpu':
      return cpuOps(dir, cpu);
    case 'cpuset':
      return [...file(dir, 'cpuset.cpus', cpu.cpus), ...file(dir, 'cpuset.mems', cpu.mems)];
    case 'memory':
      return memoryOps(dir, memory, previous.memory ?? {});
    case 'pids':
      return file(dir, 'pids.max', pids && (pids.limit > 0 ? pids.limit : 'max'));
    case 'hugetlb':
      return hugepageLimits.flatMap(({ pageSize, limit }) => [
        // None of a page size that the host has not is no limit.
        ...file(dir, `hugetlb.${pageSize}.limit_in_bytes`, limit, limit === 0),
        // Counts reservations; from Linux 5.7.
        ...file(dir, `hugetlb.${pageSize}.rsvd.limit_in_bytes`, limit, true),
      ]);
    default:
      return [];
  }
}

/**
 * The device rules of a new cgroup, which starts with those of its parent. Nothing is written
 * for a container that may use everything: more than its parent it can't have.
 */
export function v1Devices(dir: string, rules: DeviceCgroup[]): FileOp[] {
  if (rules.length === 1 && rules[0]?.allow && deviceLine(rules[0]).startsWith('a')) return [];
  return rules.flatMap((rule) =>
    file(dir, rule.allow ? 'devices.allow' : 'devices.deny', deviceLine(rule)),
  );
}

/** "c 1:3 rwm"; "a" alone stands for every device. */
function deviceLine(rule: DeviceCgroup): string {
  const type = rule.type ?? 'a';
  if (type === 'a') return 'a';
  return `${type} ${rule.major ?? '*'}:${rule.minor ?? '*'} ${rule.access}`;
}

/**
 * The kernel refuses a quota that with the present period exceeds the parent's share. So where
 * both change, the period goes first if it is taken, and else after the quota.
 */
function cpuOps(dir: string, cpu: NonNullable<Resources['cpu']>): FileOp[] {
  const both = cpu.quota !== undefined && cpu.period !== undefined;
  return [
    ...file(dir, 'cpu.shares', cpu.shares),
    ...(both ? file(dir, 'cpu.cfs_period_us', cpu.period, true) : []),
    ...file(dir, 'cpu.cfs_quota_us', cpu.quota),
    ...file(dir, 'cpu.cfs_period_us', cpu.period),
  ];
}

/**
 * memory.limit_in_bytes may at no time be above memory.memsw.limit_in_bytes: a limit that rises
 * over the old total waits for the new total. The total's file is missing where the kernel does
 * not account swap.
 */
function memoryOps(
  dir: string,
  memory: NonNullable<Resources['memory']>,
  previous: NonNullable<Resources['memory']>,
): FileOp[] {
  const limit = file(dir, 'memory.limit_in_bytes', memory.limit);
  const swap = file(dir, 'memory.memsw.limit_in_bytes', memory.swap, true);
  const old = previous.swap ?? -1;
  const next = memory.limit ?? 0;
  const rises = old > 0 && (next < 0 || next > old);
  return rises ? [...swap, ...limit] : [...limit, ...swap];
}

function file(
  dir: string,
  name: string,
  value: string | number | undefined,
  optional = false,
): FileOp[] {
  if (value === undefined) return [];
  return [{ op: 'write', path: `${dir}/${name}`, value: String(value), optional }];
}
