import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cgroupDirs } from './cgroup/index.ts';
import type { RuntimeContext } from './context.ts';

/**
 * Gives the processes of a running container another oom_score_adj (proc_pid_oom_score_adj(5)):
 * those that have the value of its first process, since others chose their own. What the host does
 * not permit (below the process' own minimum without CAP_SYS_RESOURCE) stays, as at a launch.
 */
export async function setOomScoreAdj(
  ctx: Pick<RuntimeContext, 'cgroups' | 'log'>,
  cgroupPath: string,
  initPid: number,
  value: number,
): Promise<void> {
  const former = await read(initPid);
  const [dir] = cgroupDirs(ctx.cgroups, cgroupPath);
  if (former === undefined || dir === undefined) return;
  const members = await readFile(join(dir, 'cgroup.procs'), 'utf8').catch(() => '');
  const pids = members.split('\n').filter(Boolean).map(Number);
  const same = await Promise.all(pids.map(async (pid) => (await read(pid)) === former));
  const changes = pids.filter((_, index) => same[index]).map((pid) => write(pid, value));
  const refused = (await Promise.all(changes)).find((code) => code === 'EACCES');
  if (refused) ctx.log.warn({ cgroupPath, value }, 'the host does not permit this oom_score_adj');
}

async function read(pid: number): Promise<string | undefined> {
  return readFile(file(pid), 'utf8').catch(() => undefined);
}

/** The errno of a refusal; a process that has ended refuses nothing. */
async function write(pid: number, value: number): Promise<string | undefined> {
  try {
    await writeFile(file(pid), String(value));
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  }
}

function file(pid: number): string {
  return `/proc/${pid}/oom_score_adj`;
}
