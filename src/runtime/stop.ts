import { throwIfAborted } from '../errors.ts';
import { isNativeError } from '../native/addon.ts';
import { signalNumber } from '../spec/stop-signal.ts';
import { stateOf } from '../store/container-status.ts';
import type { Container } from '../store/containers.ts';
import type { RuntimeContext } from './context.ts';
import { keepAlive, settledWithin, withSignal } from './deferred.ts';
import { endUnknown } from './end-unknown.ts';
import { isConnectionLost } from './monitors.ts';
import { fromNative } from './native-failure.ts';
import { requireRunning } from './preconditions.ts';
import { deleteEntry } from './task.ts';

const SIGKILL = 9;
/** How long a stop lets a start go on that was there first, ms. */
const START_MS = 5_000;

/**
 * Stops a container: its stop signal, `timeoutMs` of grace, then SIGKILL; returns once EXITED is
 * recorded. Unknown and not running containers are no error (SP-1). A start in flight is waited
 * for, so that a stop never misses it (G-2). When `signal` fires first, nothing is killed (SP-8).
 */
export async function stopContainer(
  ctx: RuntimeContext,
  id: string,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<void> {
  const container = ctx.containers.find(id);
  if (!container) return;
  const live = ctx.live.of(container.record.id);
  if (live.starting) await withSignal(startIsOver(ctx, container, live.starting), signal);
  throwIfAborted(signal);
  const state = stateOf(container.status.get());
  if (state === 'unknown') return withSignal(endUnknown(ctx, container), signal);
  if (state === 'created') return withSignal(ctx.embryos.drop(container.record.id), signal);
  if (state !== 'running') return;

  const { exited } = live;
  if (timeoutMs > 0) {
    if (!live.stopSignalSent) {
      live.stopSignalSent = true;
      try {
        await send(ctx, container, signalNumber(container.record.stopSignal), false);
      } catch (error) {
        live.stopSignalSent = false;
        throw error;
      }
    }
    if (await withSignal(settledWithin(exited.promise, timeoutMs), signal)) return exited.promise;
  }
  await send(ctx, container, SIGKILL, true);
  await keepAlive(withSignal(exited.promise, signal));
}

/** Waits for a start in flight. One that hangs, as in a file system, is broken off. */
async function startIsOver(
  ctx: RuntimeContext,
  { record }: Container,
  starting: Promise<void>,
): Promise<void> {
  if (await settledWithin(starting, START_MS)) return;
  ctx.log.warn({ id: record.id }, 'a start that hangs is broken off by a stop');
  ctx.live.of(record.id).brokenOff = true;
  const monitor = ctx.monitors.find(record.sandboxId);
  if (monitor) await deleteEntry(monitor, record.id);
  await starting;
}

/** Signals a container's init, or all its processes. One that has exited needs none (SP-7). */
async function send(
  ctx: RuntimeContext,
  container: Container,
  signal: number,
  all: boolean,
): Promise<void> {
  const monitor = ctx.monitors.find(container.record.sandboxId);
  if (!monitor) return;
  try {
    await monitor.connection.signal(container.record.id, signal, all);
  } catch (error) {
    // What a lost connection means for the container, its exit watcher finds out (SP-2).
    if (isConnectionLost(error)) return;
    if (isNativeError(error) && (error.code === 'ESRCH' || error.code === 'ENOENT')) return;
    throw fromNative(error, 'FailedPrecondition');
  }
}

/** Sends any signal to a running container's init; all of its processes with `all`. */
export async function signalContainer(
  ctx: RuntimeContext,
  id: string,
  signal: number,
  all = false,
): Promise<void> {
  const container = requireRunning(ctx, id);
  await send(ctx, container, signal, all);
}
