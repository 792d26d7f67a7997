import { closeSync } from 'node:fs';
import { CoracleError } from '../errors.ts';
import type { EntryStatus, StdioSpec } from '../native/types.ts';
import { newId } from '../store/ids.ts';
import type { RuntimeContext } from './context.ts';
import { keepAlive, withSignal } from './deferred.ts';
import { timed } from './launch-phases.ts';
import type { PodMonitor } from './monitors.ts';
import { fromNative, wrapNative } from './native-failure.ts';
import { requireCommand, requireRunning } from './preconditions.ts';
import { prepareExec } from './prepare.ts';
import { deleteEntry, Task } from './task.ts';

export interface ExecRequest {
  argv: string[];
  stdio: [StdioSpec, StdioSpec, StdioSpec];
  tty?: boolean;
  /** Default: the container's. */
  env?: [name: string, value: string][];
  workingDir?: string;
  /** "user", "uid", "user:group"; default: the container's. */
  user?: string;
}

/** A process beside a container's init, in the same namespaces and cgroup. */
export interface ExecProcess {
  readonly id: string;
  readonly pid: number;
  /** Our ends of the pipes that were asked for; the caller's to close. */
  readonly pipes: [number | undefined, number | undefined, number | undefined];
  wait(): Promise<EntryStatus>;
  signal(signal: number): Promise<void>;
  resize(rows: number, cols: number): Promise<void>;
  /** The pty master, with `tty`; the caller's to close. */
  readonly terminal: number | undefined;
  /** Kills it if it runs, and forgets it. */
  delete(): Promise<void>;
}

/**
 * Starts a command in a running container (XS-1). The wait is armed before it can run (XS-4). When
 * `signal` fires before it runs, it is given up: it may hang in the container's file systems.
 */
export async function openExec(
  ctx: RuntimeContext,
  id: string,
  request: ExecRequest,
  signal?: AbortSignal,
): Promise<ExecProcess> {
  requireCommand(request.argv);
  const { record } = requireRunning(ctx, id);
  const monitor = ctx.monitors.get(record.sandboxId);
  const execId = newId();
  const [planning, plan] = await timed(() => prepareExec(ctx, record, execId, request));
  const exit = monitor.armExit(execId);
  const launching = Task.create(monitor, execId, plan, {
    stdio: request.stdio,
    startAtOnce: !request.tty,
  });
  const task = await withSignal(launching, signal).catch((error: unknown) => {
    monitor.disarm(execId);
    if (signal?.aborted) breakOff(monitor, execId, launching);
    throw fromNative(error, 'FailedPrecondition');
  });
  const terminal = request.tty ? await startWithTerminal(task) : undefined;
  ctx.launches.observe('exec', { ...task.phases, plan: planning });
  const { connection } = monitor;
  let forgotten: Promise<void> | undefined;
  const forget = () => {
    forgotten ??= task.delete();
    return forgotten;
  };
  // A handle that nobody disposes must not keep the monitor's entry.
  exit.then(forget).catch((error: unknown) => {
    ctx.log.warn({ id: record.id, err: error }, 'an exec that has ended could not be forgotten');
  });
  return {
    id: execId,
    pid: task.pid,
    pipes: task.result.pipes,
    wait: async () => {
      const ending = await keepAlive(exit);
      if (ending.kind === 'exited') return ending.status;
      const why = ending.kind === 'lost' ? 'its monitor is gone' : 'it was let go of';
      throw new CoracleError(
        'Unavailable',
        `how the command in container ${record.id} ended is unknown: ${why}`,
      );
    },
    signal: (signal) => wrapNative(connection.signal(execId, signal, false), 'FailedPrecondition'),
    resize: (rows, cols) => wrapNative(connection.resize(execId, rows, cols), 'FailedPrecondition'),
    terminal,
    delete: forget,
  };
}

/** Ends a launch that nobody waits for, whether it hangs or is about to succeed. */
function breakOff(monitor: PodMonitor, id: string, launching: Promise<Task>): void {
  const late = launching.then((task) => {
    task.closePipes();
    return task.delete();
  });
  // Both fail where the launch is cut short, which is what is wanted.
  late.catch(() => {});
  deleteEntry(monitor, id).catch(() => {});
}

/** Takes the terminal over first: what the command writes at once is not missed. */
async function startWithTerminal(task: Task): Promise<number> {
  let terminal = -1;
  try {
    terminal = await task.terminal();
    await task.start();
    return terminal;
  } catch (error) {
    if (terminal >= 0) closeSync(terminal);
    task.closePipes();
    await task.delete();
    throw fromNative(error, 'FailedPrecondition');
  }
}
