import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { RuntimeContext } from './context.ts';
import { settledWithin } from './deferred.ts';
import { killByPid } from './kill-by-pid.ts';
import { exitDir } from './paths.ts';

/** How long a killed monitor may take to be gone, ms. */
const GONE_MS = 1_000;
const PAUSE_MS = 5;

/**
 * Ends monitors that nobody can reach any more, since the state directory was deleted below them:
 * systemd does that at the end of a service whose RuntimeDirectory is not preserved. A monitor is
 * known as ours by the directory of exit records that it holds open, also where that is gone. With
 * it end its namespaces and processes.
 */
export async function endStrayMonitors(ctx: RuntimeContext): Promise<void> {
  for (const { pid, podId } of monitorProcesses()) {
    if (ctx.monitors.find(podId) || !holdsExits(pid, exitDir(ctx.options, podId))) continue;
    ctx.log.warn({ id: podId, pid }, 'ending a monitor that cannot be reached any more');
    killByPid(ctx, pid);
    await settledWithin(gone(pid), GONE_MS);
  }
}

/** By their command lines, which the monitor's start sets: "coracle-monitor", the pod's id. */
function* monitorProcesses(): Generator<{ pid: number; podId: string }> {
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const [program, podId] = commandLine(name);
    if (program === 'coracle-monitor' && podId) yield { pid: Number(name), podId };
  }
}

function commandLine(pid: string | number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0');
  } catch {
    return [];
  }
}

function holdsExits(pid: number, dir: string): boolean {
  const fds = `/proc/${pid}/fd`;
  try {
    return readdirSync(fds).some((fd) => {
      const target = readlinkSync(join(fds, fd));
      return target === dir || target === `${dir} (deleted)`;
    });
  } catch {
    return false;
  }
}

/** A process that has ended, reaped or not, has no command line. */
async function gone(pid: number): Promise<void> {
  while (commandLine(pid)[0] === 'coracle-monitor') {
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}
