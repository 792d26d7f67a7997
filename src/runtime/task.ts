import { closeSync } from 'node:fs';
import type { LaunchOptions, LaunchResult, PreparedPlan } from '../native/types.ts';
import { type Exit, isConnectionLost, type PodMonitor } from './monitors.ts';

/**
 * One process under a pod's monitor: a container's init, or an exec.
 *
 * create → armExit → start → (exit) → delete. Deleting is idempotent and kills what is alive.
 */
export class Task {
  readonly id: string;
  readonly result: LaunchResult;
  readonly #monitor: PodMonitor;

  private constructor(monitor: PodMonitor, id: string, result: LaunchResult) {
    this.#monitor = monitor;
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
    return new Task(monitor, id, await monitor.connection.launch(plan, options));
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
