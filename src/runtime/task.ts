import { closeSync } from 'node:fs';
import { isNativeError } from '../native/addon.ts';
import type { LaunchOptions, LaunchResult, LogPath, PreparedPlan } from '../native/types.ts';
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
    const result = await monitor.connection.launch(plan, options);
    return new Task(monitor, id, result, options.embryo ? plan : undefined);
  }

  get pid(): number {
    return this.result.pid;
  }

  armExit(): Promise<Exit> {
    return this.#monitor.armExit(this.id);
  }

  start(): Promise<{ startedAt: bigint }> {
    return this.#monitor.connection.start(this.id);
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
      const embryo = { plan, sources, ...(log && { log }) };
      return await this.#monitor.connection.start(this.id, embryo);
    } catch (error) {
      if (!isStale(error)) throw error;
      await this.delete();
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
