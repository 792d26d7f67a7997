import type { Sandbox } from '../store/sandboxes.ts';
import type { RuntimeContext } from './context.ts';
import { now } from './events.ts';

/** Records that a pod is no longer ready, and announces it to whoever has not heard of it yet. */
export async function sandboxStopped(ctx: RuntimeContext, sandbox: Sandbox): Promise<void> {
  if (await sandbox.stopped(now())) ctx.events.emitPod('stopped', sandbox);
}
