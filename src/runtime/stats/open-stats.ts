import { readdir } from 'node:fs/promises';
import type { StatsAddon } from '../../native/stats-types.ts';
import type { CgroupLayout } from '../cgroup/index.ts';
import { UsageReader } from './usage-reader.ts';
import { WritableLayers } from './writable-layers.ts';

/** What a runtime keeps to tell what its pods use. Costs nothing while nobody asks. */
export interface Stats {
  readonly reader: UsageReader;
  readonly layers: WritableLayers;
}

export async function openStats(addon: StatsAddon, layout: CgroupLayout): Promise<Stats> {
  return {
    reader: new UsageReader(addon, layout, await hugepageSizes()),
    layers: new WritableLayers(addon),
  };
}

/** As the files of the hugetlb controller are named: "2MB", "1GB". Empty without huge pages. */
export async function hugepageSizes(dir = '/sys/kernel/mm/hugepages'): Promise<string[]> {
  const names = await readdir(dir).catch(() => []);
  return names
    .flatMap((name) => /^hugepages-(\d+)kB$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b)
    .map((kB) => {
      if (kB >= 1024 * 1024) return `${kB / (1024 * 1024)}GB`;
      return kB >= 1024 ? `${kB / 1024}MB` : `${kB}KB`;
    });
}
