import { CoracleError } from '../errors.ts';
import type { RuntimeContext } from './context.ts';
import { settledWithin } from './deferred.ts';
import { killByPid } from './kill-by-pid.ts';
import type { PodMonitor } from './monitors.ts';
import { monitorSocket } from './paths.ts';

/** How long a monitor may take to end its pod before it is killed, ms. */
const SHUTDOWN_MS = 10_000;
/** How long a killed one may take to be gone, ms. */
const KILL_MS = 1_000;

/**
 * Ends a sandbox's monitor, and with it every process and namespace of the pod; also one that a
 * crash, or a connection that broke, left without anybody who speaks to it. Idempotent.
 *
 * Throws Unavailable where it cannot be ended, as when the kernel holds one of its processes: what
 * the pod has must be kept until it is gone (SB-4, SB-10), so whoever removes it tries again.
 */
export async function endMonitor(ctx: RuntimeContext, sandboxId: string): Promise<void> {
  const monitor = ctx.monitors.find(sandboxId) ?? reconnect(ctx, sandboxId);
  if (!monitor) return;
  const ended = monitor.connection.shutdown().catch(() => {});
  if (!(await settledWithin(Promise.all([ended, monitor.closed]), SHUTDOWN_MS))) {
    ctx.log.error({ id: sandboxId }, 'the monitor of a pod does not end and is killed');
    // While the connection is open the process lives, so that its pid is still its own.
    killByPid(ctx, monitor.connection.pid);
    if (!(await settledWithin(monitor.closed, KILL_MS))) {
      throw new CoracleError('Unavailable', `the monitor of sandbox ${sandboxId} does not end`);
    }
  }
  monitor.close();
}

/** Undefined where nothing listens any more. */
function reconnect(ctx: RuntimeContext, sandboxId: string): PodMonitor | undefined {
  try {
    const connection = ctx.addon.connectMonitor(monitorSocket(ctx.options, sandboxId));
    return ctx.monitors.add(sandboxId, connection);
  } catch {
    return undefined;
  }
}
