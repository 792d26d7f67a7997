import { stateOf } from '../store/container-status.ts';
import type { Sandbox } from '../store/sandboxes.ts';
import { killCgroup } from './cgroup/kill.ts';
import type { RuntimeContext } from './context.ts';
import type { PodMonitor } from './monitors.ts';
import { sandboxStopped } from './sandbox-stopped.ts';

/** A pod whose monitor is gone is NotReady, and still there to be removed (SB-13, EX-15). */
export function watchMonitor(ctx: RuntimeContext, sandbox: Sandbox, monitor: PodMonitor): void {
  monitor.closed
    .then(async () => {
      if (ctx.closing || sandbox.state !== 'ready') return;
      if (!sandbox.stopping) {
        ctx.log.error({ id: sandbox.record.id }, 'the monitor of a pod has gone');
      }
      await endEmbryos(ctx, sandbox);
      // Also during a stop: that may still fail, and there is nothing left to be ready.
      await sandboxStopped(ctx, sandbox);
    })
    .catch((error: unknown) => {
      ctx.log.error({ id: sandbox.record.id, err: error }, 'sandbox could not be marked stopped');
    });
}

/** A monitor's death ends what waits for a start, too, but in its own time. */
async function endEmbryos(ctx: RuntimeContext, { record: { id } }: Sandbox): Promise<void> {
  const created = ctx.containers
    .list()
    .filter(({ record, status }) => record.sandboxId === id && stateOf(status.get()) === 'created');
  await Promise.all(created.map(({ record }) => killCgroup(ctx.cgroups, record.cgroupPath)));
}
