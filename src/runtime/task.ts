import { closeSync } from 'node:fs';
import { isNativeError } from '../native/addon.ts';
import type {
  EmbryoStart,
  LaunchOptions,
  LaunchResult,
  LaunchTimes,
  LogPath,
  PreparedPlan,
} from '../native/types.ts';
import { type PhaseTimes, timed } from './launch-phases.ts';
import { type Exit, isConnectionLost, type PodMonitor } from './monitors.ts';

/** Whether a start failed because the process is not there any more, or is not the one wanted. */
function isStale(error: unknown): boolean {
  if (!isNativeError(error)) return false;
  if (error.step === 'start') return ['ESTALE', 'ESRCH', 'ENOENT'].includes(error.code);
  // It died between the wake and its program; why may have been long before.
  return error.code === 'ECANCELED' && !isConnectionLost(error);
}

/**
 * One process under a pod's monitor: a container's init, or an exec.
 *
 * create → armExit → start → (exit) → delete. Deleting is idempotent and kills what is alive.
 */
export class Task {
  readonly id: string;
  readonly result: LaunchResult;
  /** What its launch has taken until now. */
  readonly phases: PhaseTimes = {};
  readonly #monitor: PodMonitor;
  /** Of an embryo; others need it no more. */
  readonly #plan: PreparedPlan | undefined;

  private constructor(
    monitor: PodMonitor,
    id: string,
    result: LaunchResult,
    plan: PreparedPlan | undefined,
  ) {
    this.#monitor = monitor;
    this.#plan = plan;
    this.id = id;
    this.result = result;
  }

  /** Clones the process and takes it through every step up to execve, where it waits. */
  static async create(
    monitor: PodMonitor,
    id: string,
    plan: PreparedPlan,
    options: LaunchOptions,
  ): Promise<Task> {
    const [seconds, result] = await timed(() => monitor.connection.launch(plan, options));
    const task = new Task(monitor, id, result, options.embryo ? plan : undefined);
    task.#took(seconds, result.times);
    return task;
  }

  get pid(): number {
    return this.result.pid;
  }

  armExit(): Promise<Exit> {
    return this.#monitor.armExit(this.id);
  }

  start(): Promise<{ startedAt: bigint }> {
    return this.#start();
  }

  async #start(embryo?: EmbryoStart): Promise<{ startedAt: bigint }> {
    const { connection } = this.#monitor;
    const [seconds, started] = await timed(() => connection.start(this.id, embryo));
    this.#took(seconds, started.times);
    return started;
  }

  /**
   * Starts one that was launched as an embryo, with its log. Undefined where it is not what a
   * launch would make now: it has died, or a mount source leads elsewhere. It is deleted then.
   */
  async wake(log: LogPath | undefined): Promise<{ startedAt: bigint } | undefined> {
    const plan = this.#plan;
    const { sources } = this.result;
    if (!plan || !sources) throw new Error(`${this.id} was not launched as an embryo`);
    try {
      return await this.#start({ plan, sources, ...(log && { log }) });
    } catch (error) {
      if (!isStale(error)) throw error;
      await this.delete();
      this.closePipes();
      return undefined;
    }
  }

  /** Takes over the pty master, the caller's to close: of a parked task, no output is missed. */
  terminal(): Promise<number> {
    return this.#monitor.connection.terminal(this.id);
  }

  /**
   * Kills and forgets it. That it is gone already, or its monitor is, is fine. A wait that is
   * armed gets the exit, where there is one.
   */
  async delete(): Promise<void> {
    try {
      await deleteEntry(this.#monitor, this.id);
    } finally {
      this.#monitor.disarm(this.id);
    }
  }

  /** What the monitor does not account for of a request went into the message. */
  #took(seconds: number, times: LaunchTimes): void {
    const monitors = Object.values(times);
    Object.assign(this.phases, times);
    if (monitors.length === 0) return;
    const message = Math.max(0, seconds - monitors.reduce((sum, each) => sum + each, 0));
    this.phases.message = (this.phases.message ?? 0) + message;
  }

  /** Closes our ends of its pipes, where nobody will ever read or write them. */
  closePipes(): void {
    for (const fd of this.result.pipes) if (fd !== undefined) closeSync(fd);
  }
}

/** Deletes a monitor's entry; a monitor that is gone has no entries. */
export async function deleteEntry(monitor: PodMonitor, id: string): Promise<void> {
  try {
    await monitor.connection.delete(id);
  } catch (error) {
    if (!isConnectionLost(error)) throw error;
  }
}
