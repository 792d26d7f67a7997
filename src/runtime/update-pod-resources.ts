import { existsSync } from 'node:fs';
import { CoracleError, throwIfAborted } from '../errors.ts';
import type { PodResources } from '../spec/config.ts';
import { limitsToSet, mergeResources, podLimits } from '../spec/merge-resources.ts';
import { containerResources } from '../spec/resources.ts';
import type { Sandbox } from '../store/sandboxes.ts';
import type { SandboxRecord } from '../store/types.ts';
import { applyLimits } from './cgroup/apply.ts';
import { cgroupDirs, createOps, ownsPodCgroup } from './cgroup/index.ts';
import { refusedLimit } from './cgroup/refused-limit.ts';
import type { RuntimeContext } from './context.ts';
import { withSignal } from './deferred.ts';
import { fromNative } from './native-failure.ts';

/**
 * Changes what a ready pod takes as a whole. Where its cgroup is Coracle's own, the limits are set
 * there, all or none; below a cgroup that the caller named (kubelet's) they are the caller's to
 * set, and only kept and shown. Errors as of `updateContainerResources`.
 */
export async function updatePodResources(
  ctx: RuntimeContext,
  id: string,
  change: PodResources,
  signal?: AbortSignal,
): Promise<void> {
  const sandbox = ctx.sandboxes.get(id);
  const done = sandbox.updates.run(async () => {
    throwIfAborted(signal);
    await update(ctx, sandbox, change);
  });
  await withSignal(done, signal);
}

/** What a pod takes now. */
export function podResourcesOf({ record }: Sandbox): PodResources {
  return record.podResources ?? record.config.podResources ?? {};
}

/** Makes the cgroup of a new pod, with the limits that it was given; nothing without limits. */
export async function limitPod(ctx: RuntimeContext, record: SandboxRecord): Promise<void> {
  const { config, cgroupPath } = record;
  if (!ownsPodCgroup(config) || !config.podResources) return;
  const limits = containerResources(podLimits(config.podResources));
  await ctx.addon.runFileOps(createOps(ctx.cgroups, cgroupPath, limits));
}

async function update(ctx: RuntimeContext, sandbox: Sandbox, change: PodResources): Promise<void> {
  requireReady(sandbox, sandbox.record);
  const before = podResourcesOf(sandbox);
  const after: PodResources = {
    resources: mergeResources(before.resources ?? {}, change.resources ?? {}),
    overhead: mergeResources(before.overhead ?? {}, change.overhead ?? {}),
  };
  const undo = await setLimits(ctx, sandbox.record, before, after);
  try {
    await sandbox.change((record) => {
      requireReady(sandbox, record);
      return { ...record, podResources: after };
    });
  } catch (error) {
    await undo();
    throw error;
  }
}

async function setLimits(
  ctx: RuntimeContext,
  record: SandboxRecord,
  before: PodResources,
  after: PodResources,
): Promise<() => Promise<void>> {
  if (!ownsPodCgroup(record.config)) return async () => {};
  const [former, limits] = [podLimits(before), podLimits(after)];
  await makeCgroup(ctx, record);
  // An overhead moves limits that were not named, so all are set.
  const next = limitsToSet(limits, limits);
  return applyLimits(ctx, record.cgroupPath, next, containerResources(former));
}

/** A pod whose first container has yet to come has none. */
async function makeCgroup(ctx: RuntimeContext, { cgroupPath }: SandboxRecord): Promise<void> {
  if (cgroupDirs(ctx.cgroups, cgroupPath).every((dir) => existsSync(dir))) return;
  try {
    await ctx.addon.runFileOps(createOps(ctx.cgroups, cgroupPath, {}));
  } catch (error) {
    throw fromNative(refusedLimit(ctx.cgroups, error), 'Internal');
  }
}

function requireReady(sandbox: Sandbox, { id }: SandboxRecord): void {
  if (sandbox.state === 'ready' && !sandbox.stopping) return;
  throw new CoracleError(
    'FailedPrecondition',
    `sandbox ${id} is ${sandbox.stopping ? 'being stopped' : 'not ready'}`,
  );
}
