import { throwIfAborted } from '../errors.ts';
import type { Sandbox } from '../store/sandboxes.ts';
import type { RuntimeContext } from './context.ts';
import { withSignal } from './deferred.ts';
import { releaseStopped } from './release-sandbox.ts';
import { removeContainer } from './remove.ts';
import { stopSandbox } from './stop-sandbox.ts';

/**
 * Stops a pod, whatever its state, and removes it with its containers (SB-10). Idempotent: who
 * comes while a removal is under way waits for that one. When `signal` fires the caller is let go
 * and the removal goes on.
 */
export async function removeSandbox(
  ctx: RuntimeContext,
  id: string,
  signal?: AbortSignal,
): Promise<void> {
  const sandbox = ctx.sandboxes.find(id);
  if (!sandbox) return;
  throwIfAborted(signal);
  sandbox.removal ??= remove(ctx, sandbox).finally(() => {
    sandbox.removal = undefined;
  });
  await withSignal(sandbox.removal, signal);
}

async function remove(ctx: RuntimeContext, sandbox: Sandbox): Promise<void> {
  const { id } = sandbox.record;
  await stopSandbox(ctx, id);
  // One that is under way may make the cgroup that is taken away below; none begins any more.
  await sandbox.updates.drained();
  const members = ctx.containers.list().filter((c) => c.record.sandboxId === id);
  for (const { record } of members) {
    if (!ctx.containers.has(record.id)) continue;
    // A start that was refused, or a removal by another call, may still be busy with it.
    const { starting, removal } = ctx.live.of(record.id);
    await Promise.all([starting, removal]);
    await removeContainer(ctx, record.id);
  }
  await releaseStopped(ctx, sandbox.record);
  ctx.events.emitPod('deleted', sandbox);
}
