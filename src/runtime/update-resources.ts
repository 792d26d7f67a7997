import { CoracleError, throwIfAborted } from '../errors.ts';
import type { LinuxResources } from '../spec/config.ts';
import { limitsToSet, mergeResources } from '../spec/merge-resources.ts';
import { containerResources, oomScoreAdj } from '../spec/resources.ts';
import { type ContainerStatus, stateOf } from '../store/container-status.ts';
import type { Container } from '../store/containers.ts';
import { applyLimits } from './cgroup/apply.ts';
import type { RuntimeContext } from './context.ts';
import { withSignal } from './deferred.ts';
import type { LiveContainer } from './live.ts';
import { setOomScoreAdj } from './oom-score.ts';

export interface ResourceUpdate {
  /** What is absent stays as it is; a memory limit of −1 takes the limit away. */
  resources: LinuxResources;
  /** Kept with the container, beside those of earlier updates. */
  annotations?: Record<string, string>;
}

/**
 * Changes the limits of a container that is created, starting or running: all of them or, where
 * one is refused, none. A container has its cgroup from its creation on, so a start that is under
 * way needs no regard: its process is in that cgroup or will be (G-1).
 *
 * Updates of one container are serial. Throws FailedPrecondition for a container that has ended or
 * is being removed and for a value that the kernel refuses, InvalidArgument for one that is none.
 * A caller that goes away (`signal`) while others are at work has changed nothing.
 */
export async function updateContainerResources(
  ctx: RuntimeContext,
  id: string,
  change: ResourceUpdate,
  signal?: AbortSignal,
): Promise<void> {
  const container = ctx.containers.get(id);
  const live = ctx.live.of(container.record.id);
  const done = live.updates.run(async () => {
    throwIfAborted(signal);
    await update(ctx, container, live, change);
  });
  await withSignal(done, signal);
}

async function update(
  ctx: RuntimeContext,
  container: Container,
  live: LiveContainer,
  { resources: change, annotations = {} }: ResourceUpdate,
): Promise<void> {
  const { record, status } = container;
  requireUpdatable(record.id, status.get());
  const before = resourcesOf(container);
  const after = mergeResources(before, change);
  const limits = limitsToSet(after, change);
  const score = oomScoreAdj(after);
  const scoreChanges = score !== oomScoreAdj(before);
  // Recorded before the kernel is told, so that a crash in between is finished by the recovery.
  await status.updateSync((now) => ({ ...requireUpdatable(record.id, now), updating: after }));
  let undo: (() => Promise<void>) | undefined;
  try {
    undo = await applyLimits(ctx, record.cgroupPath, limits, containerResources(before));
    await status.updateSync((now) => updated(requireUpdatable(record.id, now), annotations));
  } catch (error) {
    await undo?.();
    await status.settle(abandoned);
    throw error;
  }
  if (scoreChanges) await passOnScore(ctx, container, live, score);
}

/** The limits that a container has now. */
export function resourcesOf({ record, status }: Container): LinuxResources {
  return status.get().resources ?? record.config.resources ?? {};
}

/**
 * Finishes what a crash interrupted, after a restart: the limits that were about to be set are set.
 * Where that fails the former ones count.
 */
export async function resumeUpdate(ctx: RuntimeContext, container: Container): Promise<void> {
  const { record, status } = container;
  const { updating } = status.get();
  if (updating === undefined) return;
  const state = stateOf(status.get());
  if (state !== 'running' && state !== 'created') return status.settle(abandoned);
  try {
    const former = containerResources(resourcesOf(container));
    await applyLimits(ctx, record.cgroupPath, limitsToSet(updating, updating), former);
    await status.settle((now) => updated(now, {}));
    await passOnScore(ctx, container, ctx.live.of(record.id), oomScoreAdj(updating));
  } catch (error) {
    ctx.log.warn({ id: record.id, err: error }, 'an interrupted update of limits was given up');
    await status.settle(abandoned);
  }
}

/**
 * A process that is not there yet gets its score from its plan, which is made anew. A start may
 * have taken the old one already: then its process is told.
 */
async function passOnScore(
  ctx: RuntimeContext,
  { record, status }: Container,
  live: LiveContainer,
  score: number,
): Promise<void> {
  live.plan = undefined;
  await ctx.embryos.drop(record.id);
  await live.starting;
  const { pid } = status.get();
  if (pid !== 0) await setOomScoreAdj(ctx, record.cgroupPath, pid, score);
}

function requireUpdatable(id: string, status: ContainerStatus): ContainerStatus {
  const state = stateOf(status);
  if (status.removing || (state !== 'created' && state !== 'running')) {
    throw new CoracleError(
      'FailedPrecondition',
      `container ${id} is in ${status.removing ? 'removing' : state} state`,
    );
  }
  return status;
}

function updated(
  { updating, ...status }: ContainerStatus,
  annotations: Record<string, string>,
): ContainerStatus {
  const all = { ...status.updateAnnotations, ...annotations };
  return {
    ...status,
    ...(updating && { resources: updating }),
    ...(Object.keys(all).length > 0 && { updateAnnotations: all }),
  };
}

function abandoned({ updating: _given, ...status }: ContainerStatus): ContainerStatus {
  return status;
}
