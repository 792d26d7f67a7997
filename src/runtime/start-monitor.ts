import { rmSync } from 'node:fs';
import { monitorExecutable } from '../native/addon.ts';
import type { MonitorSpawn, SandboxSetup } from '../native/types.ts';
import type { RuntimeContext } from './context.ts';
import { isConnectionLost, type PodMonitor } from './monitors.ts';
import { exitDir, monitorSocket } from './paths.ts';

/** How the monitor of a pod is started, whose directory in `state` is there. */
export function monitorSpawn(ctx: RuntimeContext, sandboxId: string): MonitorSpawn {
  return {
    executable: monitorExecutable(),
    podId: sandboxId,
    socket: monitorSocket(ctx.options, sandboxId),
  };
}

export interface StartedPod {
  monitor: PodMonitor;
  reaperPid: number;
}

/**
 * Makes a pod's namespaces in its spare monitor, or in one that is started for it. A spare that has
 * died counts as none, unless `check` throws: a stop ends monitors, too.
 */
export async function startPod(
  ctx: RuntimeContext,
  sandboxId: string,
  given: Omit<SandboxSetup, 'rootDir' | 'exitDir'>,
  { spare, check }: { spare: PodMonitor | undefined; check: () => void },
): Promise<StartedPod> {
  const dirs = { rootDir: ctx.options.root, exitDir: exitDir(ctx.options, sandboxId) };
  const setup = { ...given, ...dirs };
  if (spare) {
    try {
      return { monitor: spare, ...(await spare.connection.sandbox(setup)) };
    } catch (error) {
      if (!isConnectionLost(error)) throw error;
      check();
      rmSync(monitorSocket(ctx.options, sandboxId), { force: true });
    }
  }
  const monitor = ctx.monitors.add(sandboxId, ctx.addon.startMonitor(monitorSpawn(ctx, sandboxId)));
  return { monitor, ...(await monitor.connection.sandbox(setup)) };
}
