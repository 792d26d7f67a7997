import { join } from 'node:path';
import type { ContainerConfig } from '../spec/config.ts';
import { stateOf } from '../store/container-status.ts';
import { newId } from '../store/ids.ts';
import type { Sandbox } from '../store/sandboxes.ts';
import type { ContainerRecord } from '../store/types.ts';
import { cgroupDirs, createOps, deviceProgramRules } from './cgroup/index.ts';
import { refusedLimit } from './cgroup/refused-limit.ts';
import { imagesOf } from './container-images.ts';
import type { RuntimeContext } from './context.ts';
import { type Creation, isSameRequest } from './creations.ts';
import { describeContainer } from './describe-container.ts';
import { makeEmbryo } from './embryos.ts';
import { fromNative } from './native-failure.ts';
import { snapshotDir } from './paths.ts';
import { refuseWhileClosing, requireReadySandbox, requireRunningTarget } from './preconditions.ts';
import { preparedPlan } from './prepare.ts';
import { releaseContainer } from './release-container.ts';
import { removeContainer } from './remove.ts';
import type { ContainerIo } from './stdio.ts';
import { makeVolumes } from './volumes.ts';

/** Pauses between attempts to undo a failed creation, ms. */
const FIRST_RETRY = 1_000;
const LAST_RETRY = 60_000;

export interface CreateOptions {
  signal?: AbortSignal;
  /** Where its streams will go, by which its process is launched ahead of its start. */
  ahead?: ContainerIo | 'log';
}

/**
 * Creates a container: everything that a start needs is made ready here, so that the start itself
 * is short. What is wrong with the command, the user, a mount source or a seccomp program shows at
 * the start, as StartError. A failure here undoes all of it (CR-4 to CR-14).
 *
 * A second call for the same container joins the first, and one that comes later, as after a
 * restart, gets the id of what the first has made, as long as it is CREATED (CR-18).
 */
export async function createContainer(
  ctx: RuntimeContext,
  sandboxId: string,
  config: ContainerConfig,
  { signal, ahead }: CreateOptions = {},
): Promise<string> {
  refuseWhileClosing(ctx);
  const { sandbox } = requireReadySandbox(ctx, sandboxId);
  const name = containerName(sandbox, config);
  const creation: Creation = {
    sandboxId: sandbox.record.id,
    request: config,
    find: () => findUntouched(ctx, name, sandbox.record.id, config),
    make: () => create(ctx, sandbox, name, config, ahead),
    undo: (id) =>
      removeContainer(ctx, id).catch((error: unknown) => {
        ctx.log.error({ id, err: error }, 'a container whose creator has gone could not be undone');
      }),
  };
  return ctx.creations.run(`container ${name}`, creation, signal);
}

async function create(
  ctx: RuntimeContext,
  sandbox: Sandbox,
  name: string,
  config: ContainerConfig,
  ahead: CreateOptions['ahead'],
): Promise<string> {
  const id = newId();
  ctx.containerNames.reserve(name, id);
  let record: ContainerRecord | undefined;
  try {
    record = await describeContainer(ctx, sandbox, id, name, config);
    requireRunningTarget(ctx, record);
    for (const imageId of imagesOf(record)) ctx.images.hold(imageId, id);
    // While threads make the rest, plan and record are encoded.
    const made = make(ctx, record, ahead);
    const over = made.catch(() => {});
    try {
      await ctx.containers.add(record, made);
    } finally {
      // Where the record fails first: what is still being made could not be undone.
      await over;
    }
  } catch (error) {
    if (!record) ctx.containerNames.release(name);
    else await undo(ctx, record, FIRST_RETRY);
    throw fromNative(refusedLimit(ctx.cgroups, error), 'Internal');
  }
  ctx.events.emit('created', id, sandbox.record.id);
  return id;
}

/** Makes what the container has beside its record, and launches its process ahead. */
async function make(
  ctx: RuntimeContext,
  record: ContainerRecord,
  ahead: CreateOptions['ahead'],
): Promise<void> {
  const { id, sandboxId, cgroupPath, spec } = record;
  const making = ctx.addon.runFileOps([
    ...snapshotOps(ctx, id),
    ...createOps(ctx.cgroups, cgroupPath, spec.linux.resources),
  ]);
  // Also warms the seccomp program. What is wrong with the plan shows at the start.
  const planned = preparedPlan(ctx, record).catch(() => {
    ctx.live.of(id).plan = undefined;
  });
  const [, plan] = await Promise.all([making, planned]);
  await makeVolumes(ctx, record);
  await limitDevices(ctx, record);
  requireReadySandbox(ctx, sandboxId);
  if (ahead && plan) makeEmbryo(ctx, record, plan, ahead === 'log' ? undefined : ahead);
}

/**
 * Gives back what a failed creation has made. Its name is free in any case (CR-4): there is no
 * record by which anybody could remove it. What the disk does not give back is tried again.
 */
async function undo(ctx: RuntimeContext, record: ContainerRecord, pause: number): Promise<void> {
  // Of a runtime that has let go, the next recovery undoes it.
  if (ctx.closing) return;
  const { id } = record;
  try {
    await releaseContainer(ctx, record);
  } catch (error) {
    ctx.log.error({ id, err: error, pause }, 'a failed create left something behind');
    ctx.containerNames.releaseId(id);
    const next = Math.min(pause * 2, LAST_RETRY);
    setTimeout(() => void undo(ctx, record, next), pause).unref();
  }
}

/**
 * What an identical request has made and nobody has started: that nobody was told its id can be
 * neither known nor excluded, and to tell it again harms nobody.
 */
function findUntouched(
  ctx: RuntimeContext,
  name: string,
  sandboxId: string,
  config: ContainerConfig,
): string | undefined {
  const id = ctx.containerNames.holder(name);
  if (id === undefined || !ctx.containers.has(id)) return undefined;
  const { record, status } = ctx.containers.get(id);
  const { starting, removing } = status.get();
  const untouched = stateOf(status.get()) === 'created' && !starting && !removing;
  const same = record.sandboxId === sandboxId && isSameRequest(record.config, config);
  return untouched && same ? id : undefined;
}

/** Unique within a pod: a restarted container has another attempt (SS-13). */
function containerName(sandbox: Sandbox, config: ContainerConfig): string {
  return [config.name, sandbox.record.name, config.attempt].join('_');
}

/** cgroup v2 has no device controller: a BPF program on the cgroup stands in for it. */
async function limitDevices(ctx: RuntimeContext, record: ContainerRecord): Promise<void> {
  if (ctx.cgroups.mode !== 'v2') return;
  const rules = deviceProgramRules(record.spec.linux.resources.devices ?? []);
  for (const dir of cgroupDirs(ctx.cgroups, record.cgroupPath)) {
    await ctx.addon.attachDeviceProgram(dir, rules);
  }
}

function snapshotOps(ctx: RuntimeContext, id: string) {
  const dir = join(ctx.options.root, snapshotDir(id));
  return [
    { op: 'mkdir', path: dir, mode: 0o755, parents: true },
    { op: 'mkdir', path: join(dir, 'upper'), mode: 0o755, parents: false },
    { op: 'mkdir', path: join(dir, 'work'), mode: 0o700, parents: false },
  ] as const;
}
