import { closeSync } from 'node:fs';
import { CoracleError, throwIfAborted } from '../errors.ts';
import { isNativeError } from '../native/addon.ts';
import type { RunResult } from '../native/types.ts';
import { newId } from '../store/ids.ts';
import type { ContainerRecord } from '../store/types.ts';
import type { RuntimeContext } from './context.ts';
import { type Limit, orBreakOff } from './deferred.ts';
import { endExec } from './end-exec.ts';
import { OUTPUT_LIMIT } from './exec-output.ts';
import { timed } from './launch-phases.ts';
import { isConnectionLost, type PodMonitor } from './monitors.ts';
import { fromNative } from './native-failure.ts';
import { preparedRun } from './prepare.ts';
import { deleteEntry } from './task.ts';

/** The step that fails where the monitor knows other cgroups of the container. */
const STALE = 'join cgroup';

/**
 * Runs a command to its end in one request, its output collected without JavaScript. At the limit
 * it is killed, and the call fails with the limit's error. Undefined, and nothing was run, where the
 * host has other cgroups than when the container was launched: then it has to be told which.
 */
export async function runExec(
  ctx: RuntimeContext,
  record: ContainerRecord,
  monitor: PodMonitor,
  argv: string[],
  limit: Limit,
): Promise<RunResult | undefined> {
  const [planning, plan] = await timed(() => preparedRun(ctx, record));
  throwIfAborted(limit.signal);
  const id = newId();
  const running = monitor.connection.run(plan, { id, argv, maxOutput: OUTPUT_LIMIT });
  const breakOff = async (error: Error) => {
    // What it wrote is nobody's, whenever it ends.
    running.then(closeRest, () => {});
    await endExec(ctx, record.id, { delete: () => deleteEntry(monitor, id) });
    throw error;
  };
  const begin = performance.now();
  const result = await orBreakOff(running, limit, breakOff).catch((error: unknown) => {
    if (isNativeError(error) && error.code === 'ESTALE' && error.step === STALE) return undefined;
    throw asRunError(error, record.id);
  });
  if (!result) return undefined;
  const message = Math.max(0, (performance.now() - begin) / 1000 - result.lasted);
  ctx.launches.observe('exec', { ...result.times, plan: planning, message });
  return result;
}

function closeRest({ stdoutRest, stderrRest }: RunResult): void {
  for (const fd of [stdoutRest, stderrRest]) if (fd !== undefined) closeSync(fd);
}

/** Of a connection that ends, nobody knows whether the command had run, or not even begun. */
function asRunError(error: unknown, id: string): unknown {
  if (!isConnectionLost(error) || !isNativeError(error)) {
    return fromNative(error, 'FailedPrecondition');
  }
  const why = error.code === 'ECANCELED' ? 'it was let go of' : 'its monitor is gone';
  return new CoracleError(
    'Unavailable',
    `how the command in container ${id} ended is unknown: ${why}`,
    { cause: error },
  );
}
