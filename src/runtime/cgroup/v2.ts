/** Limits in the files of cgroup v2 controllers (Documentation/admin-guide/cgroup-v2). */
import type { DeviceRule, FileOp } from '../../native/types.ts';
import type { DeviceCgroup, Resources } from '../../spec/oci.ts';

const DEFAULT_PERIOD = 100_000;

/**
 * The writes for those limits of `resources` that this controller keeps. One that asks for no limit,
 * or for no huge pages where there are none, may fail: its file is missing where the controller is
 * withheld from the container's cgroup.
 */
export function v2Limits(controller: string, dir: string, resources: Resources): FileOp[] {
  const { cpu = {}, memory = {}, pids, hugepageLimits = [] } = resources;
  switch (controller) {
    case 'cpu':
      return [
        ...file(dir, 'cpu.weight', cpu.shares && cpuWeight(cpu.shares)),
        ...file(dir, 'cpu.max', cpuMax(cpu.quota, cpu.period), !isLimit(cpu.quota)),
      ];
    case 'cpuset':
      return [...file(dir, 'cpuset.cpus', cpu.cpus), ...file(dir, 'cpuset.mems', cpu.mems)];
    case 'memory':
      return [
        ...file(dir, 'memory.max', memory.limit && limitText(memory.limit), !isLimit(memory.limit)),
        // Missing where the kernel does not account swap.
        ...file(dir, 'memory.swap.max', swapMax(memory), true),
      ];
    case 'pids':
      return file(dir, 'pids.max', pids && limitText(pids.limit), !isLimit(pids?.limit));
    case 'hugetlb':
      return hugepageLimits.flatMap(({ pageSize, limit }) => [
        ...file(dir, `hugetlb.${pageSize}.max`, limit, limit === 0),
        // Counts reservations; from Linux 5.7.
        ...file(dir, `hugetlb.${pageSize}.rsvd.max`, limit, true),
      ]);
    default:
      return [];
  }
}

/** The writes of `resources.unified` for the files of this controller. */
export function v2Unified(controller: string, dir: string, resources: Resources): FileOp[] {
  return Object.entries(resources.unified ?? {}).flatMap(([name, value]) =>
    name.startsWith(`${controller}.`) ? file(dir, name, value) : [],
  );
}

/**
 * A v1 weight (2–262144, default 1024) as a v2 one (1–10000, default 100). The curve goes through
 * both ends and both defaults: log10(weight) = (l² + 125·l) / 612 − 7/34 with l = log2(shares),
 * as runc and crun have it since 2025. A straight line would give a default container 39.
 */
export function cpuWeight(shares: number): number {
  const l = Math.log2(Math.min(Math.max(shares, 2), 262_144));
  const weight = 10 ** ((l * l + 125 * l) / 612 - 7 / 34);
  // The defaults must meet exactly, whatever the last bit of the logarithm.
  return Math.min(Math.ceil(weight - 1e-6), 10_000);
}

function cpuMax(quota: number | undefined, period: number | undefined): string | undefined {
  if (quota === undefined && period === undefined) return undefined;
  const part = quota !== undefined && quota > 0 ? String(quota) : 'max';
  return `${part} ${period ?? DEFAULT_PERIOD}`;
}

/** v2 limits swap by itself, the specification memory and swap together. */
function swapMax(memory: NonNullable<Resources['memory']>): string | undefined {
  const { limit = 0, swap } = memory;
  if (swap === undefined) return undefined;
  if (swap < 0) return 'max';
  return limit > 0 ? String(swap - limit) : undefined;
}

/** The rules in the form of the device program that stands in for v1's device controller. */
export function deviceProgramRules(rules: DeviceCgroup[]): DeviceRule[] {
  return rules.map((rule) => ({
    allow: rule.allow,
    type: rule.type ?? 'a',
    major: rule.major ?? -1,
    minor: rule.minor ?? -1,
    access: rule.access,
  }));
}

function isLimit(value: number | undefined): boolean {
  return value !== undefined && value > 0;
}

function limitText(limit: number): string {
  return limit > 0 ? String(limit) : 'max';
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
