/** Which files tell what a cgroup uses, on a host with these hierarchies. Pure. */
import { join } from 'node:path';
import type { CgroupLayout } from '../cgroup/index.ts';
import { cpuLimit, cpuTime, cpuTimeDetail } from './cpu.ts';
import { io } from './io.ts';
import { memory, memoryDetail } from './memory.ts';
import { hugepages, pressure, threads } from './other.ts';
import type { Part, Reading } from './parts.ts';
import type { CgroupUsage } from './usage.ts';

/** The files of a cgroup, in a fixed order, and what their texts in that order mean. */
export interface ReadPlan {
  /** Paths on the host for a cgroup's path below the hierarchies' roots. */
  paths(cgroup: string): string[];
  readonly length: number;
  parse(texts: readonly (string | null)[]): CgroupUsage;
}

/** What the stats of CRI show: 6 files on v1, 9 on v2. */
export function usagePlan(layout: CgroupLayout): ReadPlan {
  return planOf(layout, [cpuTime, memory, pressure]);
}

/** CPU time alone, for rates. */
export function cpuPlan(layout: CgroupLayout): ReadPlan {
  return planOf(layout, [cpuTime]);
}

/** All that the metrics of CRI show. `hugepageSizes` as "2MB". */
export function detailPlan(layout: CgroupLayout, hugepageSizes: readonly string[]): ReadPlan {
  const all = [cpuTime, cpuTimeDetail, cpuLimit, memory, memoryDetail, io, threads];
  return planOf(layout, [...all, hugepages(hugepageSizes), pressure]);
}

function planOf(layout: CgroupLayout, parts: readonly Part[]): ReadPlan {
  const files: { root: string; name: string }[] = [];
  const indices = new Map<string, number>();
  const readings: { root: string; reading: Reading }[] = [];
  for (const part of parts) {
    const source = sourceOf(layout, part);
    if (source === undefined) continue;
    readings.push(source);
    for (const name of source.reading.files) {
      const key = join(source.root, name);
      if (indices.has(key)) continue;
      indices.set(key, files.length);
      files.push({ root: source.root, name });
    }
  }
  return {
    length: files.length,
    paths: (cgroup) => files.map(({ root, name }) => join(root, cgroup, name)),
    parse: (texts) => {
      const usage: CgroupUsage = {};
      for (const { root, reading } of readings) {
        const read = (name: string) => texts[indices.get(join(root, name)) ?? -1] ?? undefined;
        Object.assign(usage, reading.parse(read));
      }
      return usage;
    },
  };
}

/** A controller is in one hierarchy at a time. */
function sourceOf(
  layout: CgroupLayout,
  { controller, v1, v2, core }: Part,
): { root: string; reading: Reading } | undefined {
  const hierarchy = layout.v1.find(({ controllers }) => controllers.includes(controller));
  if (hierarchy !== undefined) return v1 && { root: hierarchy.root, reading: v1 };
  if (layout.v2 === undefined || v2 === undefined) return undefined;
  const name = V2_NAMES[controller] ?? controller;
  const there = core || layout.v2.controllers.includes(name);
  return there ? { root: layout.v2.root, reading: v2 } : undefined;
}

const V2_NAMES: Readonly<Record<string, string>> = { blkio: 'io', cpuacct: 'cpu' };
