import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CgroupLayout } from './layout.ts';

/**
 * How many processes of this cgroup the kernel's OOM killer has ended since it was made; 0 where it
 * is gone. Read at once: the kernel answers from memory, sooner than a thread would get to ask.
 */
export function oomKillsOf(layout: CgroupLayout, path: string): number {
  const { v1, v2 } = layout;
  const old = v1.find(({ controllers }) => controllers.includes('memory'));
  if (old) return oomKills(read(join(old.root, path, 'memory.oom_control')));
  if (v2?.controllers.includes('memory'))
    return oomKills(read(join(v2.root, path, 'memory.events')));
  return 0;
}

/** The oom_kill counter of memory.events (v2) or memory.oom_control (v1, kernel ≥ 4.13). */
export function oomKills(text: string): number {
  return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0);
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
