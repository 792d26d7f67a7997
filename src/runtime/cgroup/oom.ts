import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CgroupLayout } from './index.ts';
import { cgroupDirs } from './index.ts';

/** How many processes of this cgroup the kernel's OOM killer has ended since it was made. */
export async function oomKillsOf(layout: CgroupLayout, path: string): Promise<number> {
  for (const dir of cgroupDirs(layout, path, 'memory')) {
    for (const file of ['memory.events', 'memory.oom_control']) {
      const text = await readFile(join(dir, file), 'utf8').catch(() => '');
      const kills = oomKills(text);
      if (kills > 0) return kills;
    }
  }
  return 0;
}

/** The oom_kill counter of memory.events (v2) or memory.oom_control (v1, kernel ≥ 4.13). */
export function oomKills(text: string): number {
  return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0);
}
