import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CgroupLayout } from './index.ts';
import { cgroupDirs } from './index.ts';

/** Whether the kernel's OOM killer has ended a process of this cgroup. */
export async function oomKilled(layout: CgroupLayout, path: string): Promise<boolean> {
  for (const dir of cgroupDirs(layout, path, 'memory')) {
    for (const file of ['memory.events', 'memory.oom_control']) {
      const text = await readFile(join(dir, file), 'utf8').catch(() => '');
      if (oomKills(text) > 0) return true;
    }
  }
  return false;
}

/** The oom_kill counter of memory.events (v2) or memory.oom_control (v1, kernel ≥ 4.13). */
export function oomKills(text: string): number {
  return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0);
}
