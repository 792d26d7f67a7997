import type { Sandbox } from '../store/sandboxes.ts';
import type { RuntimeContext } from './context.ts';
import { now } from './events.ts';

/**
 * Records that a pod is no longer ready, and announces it to whoever has not heard of it yet. That of
 * a stop is committed, not flushed: after a loss of power no pod is ready, whatever its record says.
 */
export async function sandboxStopped(ctx: RuntimeContext, sandbox: Sandbox): Promise<void> {
  const news = await sandbox.stopped(now(), { durable: !sandbox.stopping });
  if (news) ctx.events.emitPod('stopped', sandbox);
}
