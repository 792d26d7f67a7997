/** Threads, huge pages and pressure. */
import { limitOf, pressureOf, single } from './parse.ts';
import type { Part } from './parts.ts';
import type { CgroupUsage, HugepageUsage } from './usage.ts';

export const threads: Part = {
  controller: 'pids',
  v1: { files: ['pids.current', 'pids.max'], parse: parseThreads },
  v2: { files: ['pids.current', 'pids.max'], parse: parseThreads },
};

function parseThreads(read: (name: string) => string | undefined): CgroupUsage {
  const current = single(read('pids.current'));
  const limit = limitOf(read('pids.max'));
  if (current === undefined) return {};
  return { threads: { current, ...(limit !== undefined && { limit }) } };
}

/** Of the page sizes that this host has, "2MB" for one. */
export function hugepages(sizes: readonly string[]): Part {
  const v1 = (size: string) => ({
    usage: `hugetlb.${size}.usage_in_bytes`,
    max: `hugetlb.${size}.max_usage_in_bytes`,
  });
  // v2 keeps no maximum.
  const v2 = (size: string) => ({ usage: `hugetlb.${size}.current` });
  return {
    controller: 'hugetlb',
    v1: hugepageReading(sizes, v1),
    v2: hugepageReading(sizes, v2),
  };
}

function hugepageReading(
  sizes: readonly string[],
  names: (size: string) => { usage: string; max?: string },
): NonNullable<Part['v1']> {
  return {
    files: sizes.flatMap((size) => Object.values(names(size))),
    parse: (read) => {
      const found = sizes.flatMap((size): HugepageUsage[] => {
        const { usage, max } = names(size);
        const bytes = single(read(usage));
        const most = max === undefined ? undefined : single(read(max));
        if (bytes === undefined) return [];
        return [{ size, usage: bytes, ...(most !== undefined && { maxUsage: most }) }];
      });
      return found.length === 0 ? {} : { hugepages: found };
    },
  };
}

/** Only of v2 (Linux 4.20), also beside the controllers of v1; not where PSI is switched off. */
export const pressure: Part = {
  controller: '',
  core: true,
  v2: {
    files: ['cpu.pressure', 'memory.pressure', 'io.pressure'],
    parse: (read) => {
      const cpu = pressureOf(read('cpu.pressure'));
      const memory = pressureOf(read('memory.pressure'));
      const io = pressureOf(read('io.pressure'));
      if (!cpu && !memory && !io) return {};
      return { pressure: { ...(cpu && { cpu }), ...(memory && { memory }), ...(io && { io }) } };
    },
  },
};
