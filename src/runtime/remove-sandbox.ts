import type { RuntimeContext } from './context.ts';
import { releaseSandbox } from './release-sandbox.ts';
import { removeContainer } from './remove.ts';
import { stopSandbox } from './stop-sandbox.ts';

/** Stops a pod, whatever its state, and removes it with its containers (SB-10). Idempotent. */
export async function removeSandbox(
  ctx: RuntimeContext,
  id: string,
  signal?: AbortSignal,
): Promise<void> {
  const sandbox = ctx.sandboxes.find(id);
  if (!sandbox) return;
  await stopSandbox(ctx, sandbox.record.id, signal);
  const members = ctx.containers.list().filter((c) => c.record.sandboxId === sandbox.record.id);
  for (const member of members) await removeContainer(ctx, member.record.id, signal);
  await releaseSandbox(ctx, sandbox.record);
}
