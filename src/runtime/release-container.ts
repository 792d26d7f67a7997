import { join } from 'node:path';
import type { ContainerRecord } from '../store/types.ts';
import { removeOps } from './cgroup/index.ts';
import { imagesOf } from './container-images.ts';
import type { RuntimeContext } from './context.ts';
import { exitRecordNames } from './exit-record.ts';
import { exitDir, snapshotDir } from './paths.ts';
import { deleteEntry } from './task.ts';

/**
 * Gives back everything that a container holds, its record and name last (RM-4). Every step may be
 * repeated, so whoever comes again finishes what a failure left (RM-6).
 */
export async function releaseContainer(
  ctx: RuntimeContext,
  record: ContainerRecord,
): Promise<void> {
  const { id, sandboxId } = record;
  await ctx.embryos.drop(id);
  const monitor = ctx.monitors.find(sandboxId);
  const removed = ctx.addon.runFileOps([
    ...removeOps(ctx.cgroups, record.cgroupPath),
    ctx.trash.discard(join(ctx.options.root, snapshotDir(id))),
    ...exitRecordNames(id).map((name) => {
      return { op: 'removeTree', path: join(exitDir(ctx.options, sandboxId), name) } as const;
    }),
  ]);
  // Nothing runs in it any more: neither waits for the other.
  await Promise.all([removed, monitor && deleteEntry(monitor, id)]);
  ctx.trash.empty();
  await ctx.containers.remove(id);
  for (const imageId of imagesOf(record)) ctx.images.release(imageId, id);
  ctx.containerNames.releaseId(id);
  ctx.live.forget(id);
}
