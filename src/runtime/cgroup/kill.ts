import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CgroupLayout } from './index.ts';
import { cgroupDirs } from './index.ts';

const ROUNDS = 50;
const PAUSE_MS = 10;

/**
 * Kills every process of a cgroup whose monitor is gone. Through cgroup.kill where the kernel has
 * it (v2, 5.14), else one by one until none is left: no process of it can be a stranger's.
 */
export async function killCgroup(layout: CgroupLayout, path: string): Promise<void> {
  for (const dir of cgroupDirs(layout, path)) {
    try {
      await writeFile(join(dir, 'cgroup.kill'), '1');
    } catch {
      await killEach(join(dir, 'cgroup.procs'));
    }
  }
}

async function killEach(procs: string): Promise<void> {
  for (let round = 0; round < ROUNDS; round += 1) {
    const text = await readFile(procs, 'utf8').catch(() => '');
    const pids = text.split('\n').filter(Boolean).map(Number);
    if (pids.length === 0) return;
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended between the reading and the signal.
      }
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}
