import type { SandboxRecord } from '../store/types.ts';
import { removePodOps } from './cgroup/index.ts';
import type { RuntimeContext } from './context.ts';
import { endMonitor } from './end-monitor.ts';
import { podDir, podFilesDir } from './paths.ts';

/** Gives back everything that a sandbox holds; its record and name go last. Idempotent. */
export async function releaseSandbox(ctx: RuntimeContext, record: SandboxRecord): Promise<void> {
  await endMonitor(ctx, record.id);
  await ctx.network.detach(record.id);
  await ctx.addon.runFileOps([
    ...removePodOps(ctx.cgroups, record.cgroupPath, record.config),
    { op: 'removeTree', path: podDir(ctx.options, record.id) },
    { op: 'removeTree', path: podFilesDir(ctx.options, record.id) },
  ]);
  await ctx.sandboxes.remove(record.id);
  ctx.sandboxNames.releaseId(record.id);
}
