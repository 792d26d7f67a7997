import { CoracleError } from '../errors.ts';
import { stateOf } from '../store/container-status.ts';
import type { Container } from '../store/containers.ts';
import type { RuntimeContext } from './context.ts';
import { deferred } from './deferred.ts';
import { releaseContainer } from './release-container.ts';
import { stopContainer } from './stop.ts';

/**
 * Removes a container and all it holds; one that runs is killed first (RM-2). An unknown id is no
 * error (RM-1). Every step may be repeated, so a removal that failed half-way is finished by the
 * next one (RM-6): the record goes last.
 */
export async function removeContainer(
  ctx: RuntimeContext,
  id: string,
  signal?: AbortSignal,
): Promise<void> {
  const container = ctx.containers.find(id);
  if (!container) return;
  refuseWhileStarting(container);
  await stopContainer(ctx, container.record.id, 0, signal);
  markRemoving(container);
  const live = ctx.live.of(container.record.id);
  const removed = deferred<void>();
  live.removal = removed.promise;
  try {
    await releaseContainer(ctx, container.record);
  } catch (error) {
    container.status.update((status) => ({ ...status, removing: false }));
    throw error;
  } finally {
    live.removal = undefined;
    removed.resolve();
  }
  ctx.events.emit('deleted', container.record.id, container.record.sandboxId);
}

function refuseWhileStarting(container: Container): void {
  const { starting, removing } = container.status.get();
  if (starting) throw busy(container, 'is in starting state, to be removed');
  if (removing) throw busy(container, 'is already in removing state');
}

/** From here on nobody can start it (RM-3), and nobody else removes it (RM-7). */
function markRemoving(container: Container): void {
  container.status.update((status) => {
    if (status.starting) throw busy(container, 'is in starting state, to be removed');
    if (status.removing) throw busy(container, 'is already in removing state');
    const state = stateOf(status);
    if (state === 'running') throw busy(container, 'is still running, to be removed');
    return { ...status, removing: true };
  });
}

function busy(container: Container, what: string): CoracleError {
  return new CoracleError('FailedPrecondition', `container ${container.record.id} ${what}`);
}
