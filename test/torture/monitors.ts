import { readdirSync, readFileSync } from 'node:fs';

/** Kills the monitor of a pod with SIGKILL; false where there is none. */
export function killMonitor(podId: string): boolean {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (!readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('coracle')) continue;
      if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(podId)) continue;
      process.kill(Number(pid), 'SIGKILL');
      return true;
    } catch {
      // It ended while we looked.
    }
  }
  return false;
}
