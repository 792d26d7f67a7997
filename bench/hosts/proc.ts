import { readdirSync, readFileSync } from 'node:fs';

/** A field in kB of a file of /proc/PID, in KiB; 0 of a process that is gone. */
export function memoryOf(pid: number, file: 'status' | 'smaps_rollup', field: string): number {
  const text = read(`/proc/${pid}/${file}`);
  return Number(new RegExp(`^${field}:\\s*(\\d+) kB`, 'm').exec(text)?.[1] ?? 0);
}

/** KiB that processes have for themselves, and their shares of what they have together. */
export function pss(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + memoryOf(pid, 'smaps_rollup', 'Pss'), 0);
}

/**
 * CPU time of processes until now, in ms: `own`, of their threads that are alive, and `children`, of
 * what they have started and waited for, in ticks of 10 ms (proc(5), cutime and cstime).
 */
export function cpuOf(pids: readonly number[]): { own: number; children: number } {
  let own = 0;
  let children = 0;
  for (const pid of pids) {
    for (const task of list(`/proc/${pid}/task`)) {
      own += Number(read(`/proc/${pid}/task/${task}/schedstat`).split(' ')[0] ?? 0) / 1e6;
    }
    const stat = read(`/proc/${pid}/stat`);
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    children += (Number(fields[13] ?? 0) + Number(fields[14] ?? 0)) * 10;
  }
  return { own, children };
}

/** Pids by their command lines. */
export function pidsOf(wanted: (args: string[]) => boolean): number[] {
  return list('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => wanted(read(`/proc/${pid}/cmdline`).split('\0')))
    .map(Number);
}

function list(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
