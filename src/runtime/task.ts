import { closeSync } from 'node:fs';
import type { LaunchOptions, LaunchResult, LaunchTimes, PreparedPlan } from '../native/types.ts';
import { type PhaseTimes, timed } from './launch-phases.ts';
import { type Exit, isConnectionLost, type PodMonitor } from './monitors.ts';

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
    const [seconds, result] = await timed(() => monitor.connection.launch(plan, options));
    const task = new Task(monitor, id, result);
    task.#took(seconds, result.times);
    return task;
  }

  get pid(): number {
    return this.result.pid;
  }

  armExit(): Promise<Exit> {
    return this.#monitor.armExit(this.id);
  }

  async start(): Promise<{ startedAt: bigint }> {
    const [seconds, started] = await timed(() => this.#monitor.connection.start(this.id));
    this.#took(seconds, started.times);
    return started;
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
