/** Limits: from the configuration's flat form to the runtime specification's. */
import { invalid, quote } from '../errors.ts';
import type { LinuxResources } from './config.ts';
import type { Resources } from './oci.ts';

const OOM_SCORE_ADJ_MAX = 1000;

/**
 * The limits as the specification has them. A memory limit without one for memory and swap gets
 * the same for both: a limited container swaps only where it is allowed to, as in containerd.
 * Throws InvalidArgument naming the field.
 */
export function containerResources(given: LinuxResources | undefined): Resources {
  if (given === undefined) return {};
  check(given);
  const cpu = defined({
    shares: given.cpuShares || undefined,
    quota: given.cpuQuota || undefined,
    period: given.cpuPeriod || undefined,
    cpus: given.cpusetCpus || undefined,
    mems: given.cpusetMems || undefined,
  });
  const limit = given.memoryLimit || undefined;
  const swap = given.memorySwapLimit || (limit !== undefined && limit > 0 ? limit : undefined);
  const memory = defined({ limit, swap });
  return (
    defined({
      cpu,
      memory,
      pids: given.pidsLimit ? { limit: given.pidsLimit } : undefined,
      hugepageLimits: given.hugepageLimits?.length
        ? given.hugepageLimits.map(({ pageSize, limit: bytes }) => ({ pageSize, limit: bytes }))
        : undefined,
      unified:
        given.unified && Object.keys(given.unified).length > 0 ? { ...given.unified } : undefined,
    }) ?? {}
  );
}

/** −1000 to 1000, and 0 where nothing is given: never the monitor's own protected value. */
export function oomScoreAdj(given: LinuxResources | undefined): number {
  const value = given?.oomScoreAdj ?? 0;
  if (!Number.isInteger(value) || Math.abs(value) > OOM_SCORE_ADJ_MAX) {
    throw invalid('resources.oomScoreAdj', value, 'is not between -1000 and 1000');
  }
  return value;
}

/** Without the absent fields; undefined where none is left. */
function defined<T extends Record<string, unknown>>(
  fields: T,
): { [K in keyof T]?: Exclude<T[K], undefined> } | undefined {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  if (entries.length === 0) return undefined;
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

function check(given: LinuxResources): void {
  for (const field of [
    'cpuShares',
    'cpuQuota',
    'cpuPeriod',
    'memoryLimit',
    'memorySwapLimit',
    'pidsLimit',
  ] as const) {
    const value = given[field];
    if (value !== undefined && !Number.isSafeInteger(value)) {
      throw invalid(`resources.${field}`, value, 'is not a whole number');
    }
  }
  if ((given.cpuShares ?? 0) < 0) {
    throw invalid('resources.cpuShares', given.cpuShares, 'is negative');
  }
  const period = given.cpuPeriod ?? 0;
  if (period !== 0 && (period < 1000 || period > 1_000_000)) {
    throw invalid('resources.cpuPeriod', period, 'is not between 1000 and 1000000 µs');
  }
  const { memoryLimit: limit = 0, memorySwapLimit: swap = 0 } = given;
  if (limit > 0 && swap > 0 && swap < limit) {
    throw invalid('resources.memorySwapLimit', swap, `is below the memory limit ${limit}`);
  }
  for (const field of ['cpusetCpus', 'cpusetMems'] as const) {
    const value = given[field];
    if (value !== undefined && !/^[0-9,\- ]*$/.test(value)) {
      throw invalid(`resources.${field}`, value, 'is not a list as "0-3,7"');
    }
  }
  given.hugepageLimits?.forEach(({ pageSize, limit: bytes }, index) => {
    if (!/^[1-9][0-9]*(KB|MB|GB)$/.test(pageSize)) {
      throw invalid(`resources.hugepageLimits[${index}].pageSize`, pageSize, 'is not as "2MB"');
    }
    if (!Number.isFinite(bytes) || bytes < 0) {
      throw invalid(`resources.hugepageLimits[${index}].limit`, bytes, 'is not a number of bytes');
    }
  });
  for (const [file, value] of Object.entries(given.unified ?? {})) {
    const field = `resources.unified[${quote(file)}]`;
    // A key names one file of a controller in the container's own cgroup. Those of the cgroup
    // core would move processes or hand controllers on.
    if (!/^[a-z]+(\.[A-Za-z0-9_]+)+$/.test(file) || /^cgroup\.(?!max\.)/.test(file)) {
      throw invalid(field, value, 'is not a file of a cgroup v2 controller');
    }
    if (value.includes('\0')) throw invalid(field, value, 'contains a NUL byte');
  }
}
