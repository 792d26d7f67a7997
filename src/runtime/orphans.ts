import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { containerCgroup, podCgroup, removeOps } from './cgroup/index.ts';
import type { RuntimeContext } from './context.ts';
import { endMonitor } from './end-monitor.ts';
import { podDir } from './paths.ts';

/**
 * Ends and deletes what a crash left without a record: monitors, pod directories, cgroups and
 * snapshots. What cannot be deleted is left for the next start (RC-5).
 */
export async function removeOrphans(ctx: RuntimeContext): Promise<void> {
  const { root, state } = ctx.options;
  for (const id of await namesIn(join(state, 'pods'))) {
    if (!ctx.sandboxes.has(id)) await attempt(ctx, id, removePod);
  }
  for (const id of await namesIn(join(root, 'containers'))) {
    if (!ctx.containers.has(id)) await attempt(ctx, id, removeContainerFiles);
  }
}

async function attempt(
  ctx: RuntimeContext,
  id: string,
  remove: (ctx: RuntimeContext, id: string) => Promise<void>,
): Promise<void> {
  ctx.log.warn({ id }, 'removing what has no record');
  try {
    await remove(ctx, id);
  } catch (error) {
    ctx.log.error({ id, err: error }, 'what has no record could not be removed');
  }
}

async function removePod(ctx: RuntimeContext, id: string): Promise<void> {
  await endMonitor(ctx, id);
  // The cgroup that it has unless it was given another, which is not ours to remove.
  await ctx.addon.runFileOps(removeOps(ctx.cgroups, podCgroup({}, id)));
  await rm(podDir(ctx.options, id), { recursive: true, force: true });
}

/** Which pod it was made for is not known: its cgroup is looked for in all of them. */
async function removeContainerFiles(ctx: RuntimeContext, id: string): Promise<void> {
  const parents = new Set(ctx.sandboxes.list().map(({ record }) => record.cgroupPath));
  await ctx.addon.runFileOps([
    ...[...parents].flatMap((parent) => removeOps(ctx.cgroups, containerCgroup(parent, id))),
    { op: 'removeTree', path: join(ctx.options.root, 'containers', id) },
  ]);
}

async function namesIn(dir: string): Promise<string[]> {
  return readdir(dir).catch(() => []);
}
