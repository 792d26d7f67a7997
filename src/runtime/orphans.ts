import { readdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { findCgroups } from './cgroup/find.ts';
import { podCgroup, removeOps } from './cgroup/index.ts';
import { killCgroup } from './cgroup/kill.ts';
import type { RuntimeContext } from './context.ts';
import { endMonitor } from './end-monitor.ts';
import { exitRecordId } from './exit-record.ts';
import { CONTAINERS, exitDir, PODS, podDir, podFilesDir, snapshotDir } from './paths.ts';

/**
 * Ends and deletes what a crash left without a record: monitors, pod directories, cgroups and
 * snapshots. What cannot be deleted is left for the next start (RC-5).
 *
 * The cgroups of containers may be below a parent that only the lost record named. They are looked
 * for by the containers' ids, which writable layers and exit records tell and nobody else has.
 */
export async function removeOrphans(ctx: RuntimeContext): Promise<void> {
  const { root, state } = ctx.options;
  const pods = (await namesIn(join(state, PODS))).filter((id) => !ctx.sandboxes.has(id));
  const files = (await namesIn(join(root, PODS))).filter((id) => !ctx.sandboxes.has(id));
  const layers = (await namesIn(join(root, CONTAINERS))).filter((id) => !ctx.containers.has(id));
  for (const id of new Set([...pods, ...files, ...layers]))
    ctx.log.warn({ id }, 'removing what has no record');
  for (const id of files) {
    const dir = podFilesDir(ctx.options, id);
    await attempt(ctx, id, () => rm(dir, { recursive: true, force: true }));
  }
  const ended: string[] = [];
  const lost = new Set(layers);
  for (const id of pods) {
    if (!(await attempt(ctx, id, () => endMonitor(ctx, id)))) continue;
    ended.push(id);
    const members = (await namesIn(exitDir(ctx.options, id))).map(exitRecordId);
    for (const member of members) if (!ctx.containers.has(member)) lost.add(member);
  }
  const stuck = await removeCgroups(ctx, lost);
  for (const id of layers) {
    const op = { op: 'removeTree', path: join(root, snapshotDir(id)) } as const;
    if (!stuck.has(id)) await attempt(ctx, id, () => ctx.addon.runFileOps([op]));
  }
  for (const id of ended) {
    if (stuck.size === 0) await attempt(ctx, id, () => removePod(ctx, id));
  }
}

/** Returns those whose cgroup could not be removed: what tells of them is kept until it can. */
async function removeCgroups(
  ctx: RuntimeContext,
  containers: ReadonlySet<string>,
): Promise<Set<string>> {
  const stuck = new Set<string>();
  for (const path of findCgroups(ctx.cgroups, containers)) {
    const removed = await attempt(ctx, path, async () => {
      await killCgroup(ctx.cgroups, path);
      await ctx.addon.runFileOps(removeOps(ctx.cgroups, path));
    });
    if (!removed) stuck.add(basename(path));
  }
  return stuck;
}

async function attempt(
  ctx: RuntimeContext,
  id: string,
  remove: () => Promise<unknown>,
): Promise<boolean> {
  try {
    await remove();
    return true;
  } catch (error) {
    ctx.log.error({ id, err: error }, 'what has no record could not be removed');
    return false;
  }
}

async function removePod(ctx: RuntimeContext, id: string): Promise<void> {
  // The cgroup that it has unless it was given another, which is not ours to remove.
  await ctx.addon.runFileOps(removeOps(ctx.cgroups, podCgroup({}, id)));
  await rm(podDir(ctx.options, id), { recursive: true, force: true });
}

async function namesIn(dir: string): Promise<string[]> {
  return readdir(dir).catch(() => []);
}
