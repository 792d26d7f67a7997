import type { Sandbox } from '../store/sandboxes.ts';
import type { RuntimeContext } from './context.ts';
import { now } from './events.ts';
import type { PodMonitor } from './monitors.ts';

/** A pod whose monitor is gone is NotReady, and still there to be removed (SB-13, EX-15). */
export function watchMonitor(ctx: RuntimeContext, sandbox: Sandbox, monitor: PodMonitor): void {
  monitor.closed
    .then(async () => {
      if (ctx.closing || sandbox.stopping || sandbox.state !== 'ready') return;
      ctx.log.error({ id: sandbox.record.id }, 'the monitor of a pod has gone');
      await sandbox.stopped(now());
    })
    .catch((error: unknown) => {
      ctx.log.error({ id: sandbox.record.id, err: error }, 'sandbox could not be marked stopped');
    });
}
