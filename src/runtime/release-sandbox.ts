import type { SandboxRecord } from '../store/types.ts';
import { removePodOps } from './cgroup/index.ts';
import type { RuntimeContext } from './context.ts';
import { endMonitor } from './end-monitor.ts';
import { podDir, podFilesDir } from './paths.ts';

/** Gives back everything that a sandbox holds; its record and name go last. Idempotent. */
export async function releaseSandbox(ctx: RuntimeContext, record: SandboxRecord): Promise<void> {
  await endMonitor(ctx, record.id);
  await ctx.network.detach(record.id);
  await releaseStopped(ctx, record);
}

/** The same for one whose monitor has ended, and whose network is taken down. */
export async function releaseStopped(ctx: RuntimeContext, record: SandboxRecord): Promise<void> {
  await ctx.addon.runFileOps([
    ...removePodOps(ctx.cgroups, record.cgroupPath, record.config),
    // On a disk, the removal of its few directories takes as long as all else of a pod's.
    ctx.trash.discard(podDir(ctx.options, record.id)),
    ctx.trash.discard(podFilesDir(ctx.options, record.id)),
  ]);
  ctx.trash.empty();
  await ctx.sandboxes.remove(record.id);
  ctx.sandboxNames.releaseId(record.id);
}
