/** Memory and swap: the memory controllers of v1 and v2. */
import { type FlatKeyed, flatKeyed, limitOf, type ReadFile, single } from './parse.ts';
import type { Part } from './parts.ts';
import type { CgroupUsage, MemoryDetail, MemoryLimit, MemoryUsage } from './usage.ts';

export const memory: Part = {
  controller: 'memory',
  v1: {
    files: ['memory.usage_in_bytes', 'memory.stat'],
    parse: (read) => {
      const stat = flatKeyed(read('memory.stat'));
      const usage = single(read('memory.usage_in_bytes'));
      if (stat === undefined || usage === undefined) return {};
      const limit = stat.limit('hierarchical_memory_limit');
      return {
        memory: memoryUsage(usage, stat.get('total_inactive_file'), limit, {
          rss: stat.get('total_rss'),
          pageFaults: stat.get('total_pgfault'),
          majorPageFaults: stat.get('total_pgmajfault'),
        }),
        ...v1Swap(stat, limit),
      };
    },
  },
  v2: {
    files: [
      'memory.current',
      'memory.stat',
      'memory.max',
      'memory.swap.current',
      'memory.swap.max',
    ],
    parse: (read) => {
      const stat = flatKeyed(read('memory.stat'));
      const usage = single(read('memory.current'));
      if (stat === undefined || usage === undefined) return {};
      const swap = single(read('memory.swap.current'));
      const limit = limitOf(read('memory.swap.max'));
      return {
        memory: memoryUsage(usage, stat.get('inactive_file'), limitOf(read('memory.max')), {
          rss: stat.get('anon'),
          pageFaults: stat.get('pgfault'),
          majorPageFaults: stat.get('pgmajfault'),
        }),
        ...(swap !== undefined && {
          swap: { usage: swap, ...(limit !== undefined && { limit }) },
        }),
      };
    },
  },
};

export const memoryDetail: Part = {
  controller: 'memory',
  v1: {
    files: [
      'memory.stat',
      'memory.max_usage_in_bytes',
      'memory.failcnt',
      'memory.memsw.failcnt',
      'memory.oom_control',
      'memory.kmem.usage_in_bytes',
      'memory.limit_in_bytes',
      'memory.soft_limit_in_bytes',
      'memory.memsw.limit_in_bytes',
    ],
    parse: (read) => {
      const stat = flatKeyed(read('memory.stat'));
      if (stat === undefined) return {};
      return details(
        {
          cache: stat.get('total_cache'),
          mappedFile: stat.get('total_mapped_file'),
          activeFile: stat.get('total_active_file'),
          inactiveFile: stat.get('total_inactive_file'),
        },
        {
          kernel: single(read('memory.kmem.usage_in_bytes')),
          maxUsage: single(read('memory.max_usage_in_bytes')),
          limitHits: v1LimitHits(read),
          // From Linux 4.13.
          oomKills: flatKeyed(read('memory.oom_control'))?.find('oom_kill'),
          ownPageFaults: stat.find('pgfault'),
          ownMajorPageFaults: stat.find('pgmajfault'),
        },
        {
          limit: limitOf(read('memory.limit_in_bytes')),
          reservation: limitOf(read('memory.soft_limit_in_bytes')),
          withSwap: limitOf(read('memory.memsw.limit_in_bytes')),
        },
      );
    },
  },
  v2: {
    files: [
      'memory.stat',
      'memory.peak',
      'memory.events',
      'memory.max',
      'memory.low',
      'memory.swap.max',
    ],
    parse: (read) => {
      const stat = flatKeyed(read('memory.stat'));
      if (stat === undefined) return {};
      const events = flatKeyed(read('memory.events'));
      const limit = limitOf(read('memory.max'));
      const swap = limitOf(read('memory.swap.max'));
      return details(
        {
          cache: stat.get('file'),
          mappedFile: stat.get('file_mapped'),
          activeFile: stat.get('active_file'),
          inactiveFile: stat.get('inactive_file'),
        },
        {
          kernel: v2Kernel(stat),
          // From Linux 5.19.
          maxUsage: single(read('memory.peak')),
          limitHits: events?.find('max'),
          oomKills: events?.find('oom_kill'),
        },
        {
          limit,
          // 0 stands for none.
          reservation: single(read('memory.low')) || undefined,
          withSwap: limit !== undefined && swap !== undefined ? limit + swap : undefined,
        },
      );
    },
  },
};

function memoryUsage(
  usage: bigint,
  inactive: bigint,
  limit: bigint | undefined,
  rest: Pick<MemoryUsage, 'rss' | 'pageFaults' | 'majorPageFaults'>,
): MemoryUsage {
  return {
    usage,
    // Both are read one after the other, and the kernel batches its counting.
    workingSet: usage > inactive ? usage - inactive : 0n,
    ...rest,
    ...(limit !== undefined && { limit }),
  };
}

/** Absent where the kernel does not account swap: then there is no limit of both together. */
function v1Swap(stat: FlatKeyed, memoryLimit: bigint | undefined): Pick<CgroupUsage, 'swap'> {
  const usage = stat.find('total_swap');
  if (usage === undefined || stat.find('hierarchical_memsw_limit') === undefined) return {};
  const both = stat.limit('hierarchical_memsw_limit');
  if (both === undefined || memoryLimit === undefined) return { swap: { usage } };
  return { swap: { usage, limit: both > memoryLimit ? both - memoryLimit : 0n } };
}

/**
 * The kernel tries the limit of memory and swap together first, and counts an attempt with the one
 * of the two limits that it fails at. Containers without swap have both alike.
 */
function v1LimitHits(read: ReadFile): bigint | undefined {
  const hits = single(read('memory.failcnt'));
  return hits === undefined ? undefined : hits + (single(read('memory.memsw.failcnt')) ?? 0n);
}

/** "kernel" is there from Linux 5.18; before, what it is made of for the most part. */
function v2Kernel(stat: FlatKeyed): bigint | undefined {
  const kernel = stat.find('kernel');
  if (kernel !== undefined) return kernel;
  const parts = ['kernel_stack', 'pagetables', 'percpu', 'sock', 'slab'];
  return parts.reduce((sum, name) => sum + stat.get(name), 0n);
}

type Always = 'cache' | 'mappedFile' | 'activeFile' | 'inactiveFile';

function details(
  always: Pick<MemoryDetail, Always>,
  detail: { [Key in Exclude<keyof MemoryDetail, Always>]?: bigint | undefined },
  limits: { [Key in keyof MemoryLimit]: bigint | undefined },
): CgroupUsage {
  return {
    memoryDetail: { ...always, ...known(detail) },
    memoryLimit: known(limits),
  };
}

function known<T extends Record<string, bigint | undefined>>(
  values: T,
): { [Key in keyof T]?: bigint } {
  const there = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(there) as { [Key in keyof T]?: bigint };
}
