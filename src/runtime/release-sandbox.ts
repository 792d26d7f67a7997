import { rm } from 'node:fs/promises';
import type { SandboxRecord } from '../store/types.ts';
import { removePodOps } from './cgroup/index.ts';
import type { RuntimeContext } from './context.ts';
import { settledWithin } from './deferred.ts';
import { podDir } from './paths.ts';

/** How long a monitor may take to end its pod before it is killed, ms. */
const SHUTDOWN_MS = 10_000;

/** Ends a sandbox's monitor, and with it every process and namespace of the pod. Idempotent. */
export async function endMonitor(ctx: RuntimeContext, sandboxId: string): Promise<void> {
  const monitor = ctx.monitors.find(sandboxId);
  if (!monitor) return;
  const ended = monitor.connection.shutdown().catch(() => {});
  await settledWithin(Promise.all([ended, monitor.closed]), SHUTDOWN_MS);
  monitor.connection.close();
}

/** Gives back everything that a sandbox holds; its record and name go last. Idempotent. */
export async function releaseSandbox(ctx: RuntimeContext, record: SandboxRecord): Promise<void> {
  await endMonitor(ctx, record.id);
  await ctx.network.detach(record.id);
  await ctx.addon.runFileOps(removePodOps(ctx.cgroups, record.cgroupPath, record.config));
  await rm(podDir(ctx.options, record.id), { recursive: true, force: true });
  await ctx.sandboxes.remove(record.id);
  ctx.sandboxNames.release(record.name);
}
