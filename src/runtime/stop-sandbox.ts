import type { Sandbox } from '../store/sandboxes.ts';
import type { RuntimeContext } from './context.ts';
import { withSignal } from './deferred.ts';
import { endMonitor } from './end-monitor.ts';
import { sandboxStopped } from './sandbox-stopped.ts';
import { stopContainer } from './stop.ts';

/**
 * Stops a pod: its containers are killed, its monitor ends, the pod is NotReady, and its network is
 * taken down. Idempotent; an unknown id is no error (SB-9). Where the network cannot be taken down
 * the stop fails, and the next one, or a removal, tries that again.
 *
 * From the first line on nothing new is created or started in it (SB-11, G-3); creations that are
 * in flight are waited for, and so are starts, whose containers are then stopped. A pod that is
 * still being made is not made to its end.
 */
export async function stopSandbox(
  ctx: RuntimeContext,
  id: string,
  signal?: AbortSignal,
): Promise<void> {
  const sandbox = ctx.sandboxes.find(id);
  if (!sandbox) return;
  sandbox.stops += 1;
  try {
    if (sandbox.making) {
      sandbox.making.abandon();
      const { over } = sandbox.making;
      await endMonitor(ctx, sandbox.record.id);
      await withSignal(over, signal);
    }
    await stopMembers(ctx, sandbox, signal);
    await endMonitor(ctx, sandbox.record.id);
    if (sandbox.state === 'ready') await sandboxStopped(ctx, sandbox);
    await ctx.network.detach(sandbox.record.id);
  } finally {
    sandbox.stops -= 1;
  }
}

async function stopMembers(
  ctx: RuntimeContext,
  sandbox: Sandbox,
  signal: AbortSignal | undefined,
): Promise<void> {
  await withSignal(ctx.creations.drained(sandbox.record.id), signal);
  const members = ctx.containers.list().filter((c) => c.record.sandboxId === sandbox.record.id);
  await Promise.all(members.map((c) => stopContainer(ctx, c.record.id, 0, signal)));
}
