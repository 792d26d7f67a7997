import { readFileSync } from 'node:fs';
import type { RuntimeContext } from './context.ts';

const SIGKILL = 9;

/** Kills the process that has this pid now; one that ends meanwhile is not mixed up with another. */
export function killByPid(ctx: Pick<RuntimeContext, 'addon' | 'log'>, pid: number): void {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // Fields 3 and on follow the name's closing parenthesis; the start time is field 22.
    const startTicks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '0';
    ctx.addon.killProcess(pid, BigInt(startTicks), SIGKILL);
  } catch (error) {
    ctx.log.warn({ pid, err: error }, 'a process could not be killed');
  }
}
