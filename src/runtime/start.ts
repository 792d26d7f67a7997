import { CoracleError, messageOf } from '../errors.ts';
import type { LogPath } from '../native/types.ts';
import { ended, stateOf } from '../store/container-status.ts';
import type { Container } from '../store/containers.ts';
import { killCgroup } from './cgroup/kill.ts';
import { oomKillsOf } from './cgroup/oom.ts';
import type { RuntimeContext } from './context.ts';
import { deferred } from './deferred.ts';
import { now } from './events.ts';
import { monitorExit } from './exits.ts';
import { timed } from './launch-phases.ts';
import { type Exit, isConnectionLost } from './monitors.ts';
import { fromNative } from './native-failure.ts';
import { refuseWhileClosing, requireReadySandbox, requireRunningTarget } from './preconditions.ts';
import { preparedPlan } from './prepare.ts';
import { type ContainerIo, logFile, logStdio } from './stdio.ts';
import { Task } from './task.ts';

/** Exit code of a container whose start failed, as the field's runtimes report it. */
const START_ERROR_CODE = 128;
const START_ERROR_REASON = 'StartError';

/**
 * Starts a created container.
 *
 * Marks it Starting, in memory; checks its sandbox (and PID target); takes the process that was
 * launched ahead, or launches it; arms the exit wait; opens its loggers; starts; persists pid and
 * start time; only then hands the armed wait to the exit monitor; announces. On any failure the
 * task is killed and deleted and the container is EXITED with code 128, reason StartError and the
 * first error as its message; unless it is the runtime that has gone, which leaves the start to its
 * recovery.
 */
export async function startContainer(
  ctx: RuntimeContext,
  id: string,
  io?: ContainerIo,
): Promise<Task> {
  refuseWhileClosing(ctx);
  const container = ctx.containers.get(id);
  markStarting(container);
  const started = deferred<void>();
  ctx.live.of(container.record.id).starting = started.promise;
  let task: Task | undefined;
  try {
    const { monitor } = requireReadySandbox(ctx, container.record.sandboxId);
    requireRunningTarget(ctx, container.record);
    const embryo = await ctx.embryos.take(container.record.id, io);
    task = embryo;
    let begun = embryo && (await wake(embryo, logOf(ctx, container, io), io?.parked));
    if (!begun) {
      refuseBrokenOff(ctx, container);
      forgetOomKills(ctx, container);
      const plan = await preparedPlan(ctx, container.record);
      const { parked, ...options } = io ?? logStdio(ctx, container.record);
      const launched = await Task.create(monitor, container.record.id, plan, options);
      task = launched;
      begun = await begin(launched, parked);
    }
    const { exit, startedAt } = begun;
    await commitRunning(ctx, container, begun.task, startedAt);
    monitorExit(ctx, container, exit);
    ctx.events.emit('started', container.record.id, container.record.sandboxId);
    return begun.task;
  } catch (error) {
    const first = startError(error);
    // Let go of in the middle: no failure of the container, and the next recovery's to decide.
    if (ctx.closing) task?.closePipes();
    else await failStart(ctx, container, task, first, isConnectionLost(error));
    throw first;
  } finally {
    container.status.update((status) => ({ ...status, starting: false }));
    const live = ctx.live.of(container.record.id);
    live.starting = undefined;
    // A container is started once.
    live.plan = undefined;
    started.resolve();
  }
}

/** The file that the start of an embryo opens. */
function logOf(
  ctx: RuntimeContext,
  { record }: Container,
  io: ContainerIo | undefined,
): LogPath | undefined {
  return io && io.log?.type !== 'cri' ? undefined : logFile(ctx, record);
}

/** Where the OOM killer ended an embryo, it has ended nothing of the container (EX-6). */
function forgetOomKills(ctx: RuntimeContext, { record }: Container): void {
  ctx.live.of(record.id).oomKills = oomKillsOf(ctx.cgroups, record.cgroupPath);
}

interface Begun {
  task: Task;
  exit: Promise<Exit>;
  startedAt: bigint;
}

/** Undefined where the embryo was no good any more, and is gone. */
async function wake(
  embryo: Task,
  log: LogPath | undefined,
  parked: ContainerIo['parked'],
): Promise<Begun | undefined> {
  const exit = embryo.armExit();
  await parked?.(embryo);
  const begun = await embryo.wake(log);
  return begun && { task: embryo, exit, ...begun };
}

async function begin(task: Task, parked: ContainerIo['parked']): Promise<Begun> {
  const exit = task.armExit();
  await parked?.(task);
  return { task, exit, ...(await task.start()) };
}

/** A stop ends an embryo that hangs; to launch it once more would be to hang once more. */
function refuseBrokenOff(ctx: RuntimeContext, { record: { id } }: Container): void {
  if (!ctx.live.of(id).brokenOff) return;
  throw new CoracleError(
    'FailedPrecondition',
    `the start of container ${id} was broken off by a stop`,
  );
}

/** Refuses all but a CREATED container that nobody else starts or removes (ST-1, ST-2, ST-3). */
function markStarting(container: Container): void {
  container.status.update((status) => {
    const { id } = container.record;
    const state = stateOf(status);
    if (status.removing) {
      throw new CoracleError('FailedPrecondition', `container ${id} is in removing state`);
    }
    if (status.starting) {
      throw new CoracleError('FailedPrecondition', `container ${id} is already in starting state`);
    }
    if (state !== 'created') {
      throw new CoracleError('FailedPrecondition', `container ${id} is in ${state} state`);
    }
    return { ...status, starting: true };
  });
}

/** Committed, not flushed: pid and start time mean nothing after a reboot. */
function persistRunning(container: Container, task: Task, startedAt: bigint): Promise<void> {
  const { uid, gid, groups } = task.result;
  return container.status.updateSync((status) => ({
    ...status,
    pid: task.pid,
    startedAt,
    user: { uid, gid, groups },
    // Over at once: whoever hears of the start may end or remove the container.
    starting: false,
  }));
}

/** Takes down, too, what all of the launch took. */
async function commitRunning(
  ctx: RuntimeContext,
  container: Container,
  task: Task,
  startedAt: bigint,
): Promise<void> {
  const [commit] = await timed(() => persistRunning(container, task, startedAt));
  const { phases } = ctx.live.of(container.record.id);
  Object.assign(phases, task.phases, { commit });
  ctx.launches.observe('container', phases);
}

/** Undoes a start (ST-6 to ST-9). Nothing here replaces the first error (G-9). */
async function failStart(
  ctx: RuntimeContext,
  container: Container,
  task: Task | undefined,
  error: CoracleError,
  lost: boolean,
): Promise<void> {
  const { id, sandboxId, cgroupPath } = container.record;
  try {
    await task?.delete();
    task?.closePipes();
    // A monitor that is gone ends nothing any more.
    if (lost || !ctx.monitors.find(sandboxId)) await killCgroup(ctx.cgroups, cgroupPath);
  } catch (cleanup) {
    ctx.log.warn({ id, err: cleanup }, 'failed start left a task behind');
  }
  const facts = {
    finishedAt: now(),
    exitCode: START_ERROR_CODE,
    reason: START_ERROR_REASON,
    message: error.message,
  };
  ctx.live.of(id).ended.resolve(facts);
  // Over at once: whoever hears of the end may remove the container.
  await container.status.settle((status) => ({ ...ended(status, facts), starting: false }));
  ctx.live.of(id).exited.resolve();
  ctx.events.emit('stopped', id, sandboxId);
}

function startError(error: unknown): CoracleError {
  const known = fromNative(error, 'FailedPrecondition');
  if (known instanceof CoracleError) return known;
  return new CoracleError('Internal', messageOf(error), { cause: error });
}
