import { CoracleError, quote } from '../errors.ts';
import { isNativeError } from '../native/addon.ts';
import type { EntryStatus, MonitorConnection } from '../native/types.ts';
import { type Deferred, deferred } from './deferred.ts';

/**
 * How an armed wait ended: the entry's exit, the loss of the monitor that would have told, or that
 * we have let go: the entry was deleted, or the runtime closed. The latter says nothing about it.
 */
export type Exit =
  | { kind: 'exited'; status: EntryStatus }
  | { kind: 'lost' }
  | { kind: 'released' };

/**
 * The connection to one pod's monitor, and who waits for which exit.
 *
 * A wait is armed before the process can run, so an exit finds its waiter (ST-12).
 */
export class PodMonitor {
  readonly connection: MonitorConnection;
  /** False for a monitor that an older server started: older-monitor.ts says what else it lacks. */
  attaches = true;
  /** Whether a start may bring the log: an older one's processes are launched by their start. */
  embryos = true;
  /** Whether it runs a command to its end in one request. */
  runs = true;
  readonly #closed = deferred<void>();
  readonly #exits = new Map<string, Deferred<Exit>>();

  constructor(connection: MonitorConnection) {
    this.connection = connection;
    connection.onExit = (status) => this.#settle(status.id, { kind: 'exited', status });
    connection.onClose = () => {
      for (const id of [...this.#exits.keys()]) this.#settle(id, { kind: 'lost' });
      this.#closed.resolve();
    };
  }

  /** Settles when the connection is gone, whoever ended it. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** Arms the wait for an entry's exit. Arming twice gives the same promise. */
  armExit(id: string): Promise<Exit> {
    const armed = this.#exits.get(id) ?? deferred<Exit>();
    this.#exits.set(id, armed);
    return armed.promise;
  }

  /** Ends a wait whose entry is deleted, or will never run. */
  disarm(id: string): void {
    this.#settle(id, { kind: 'released' });
  }

  /** Lets go of the pod, which goes on unless it is attached. No wait is left open. */
  close(): void {
    this.connection.close();
    for (const id of [...this.#exits.keys()]) this.disarm(id);
    this.#closed.resolve();
  }

  #settle(id: string, exit: Exit): void {
    const armed = this.#exits.get(id);
    this.#exits.delete(id);
    armed?.resolve(exit);
  }
}

/** The monitors of all live pods, by sandbox id. */
export class Monitors {
  readonly #pods = new Map<string, PodMonitor>();

  add(sandboxId: string, connection: MonitorConnection): PodMonitor {
    return this.adopt(sandboxId, new PodMonitor(connection));
  }

  adopt(sandboxId: string, monitor: PodMonitor): PodMonitor {
    this.#pods.set(sandboxId, monitor);
    monitor.closed.then(() => {
      if (this.#pods.get(sandboxId) === monitor) this.#pods.delete(sandboxId);
    });
    return monitor;
  }

  get size(): number {
    return this.#pods.size;
  }

  find(sandboxId: string): PodMonitor | undefined {
    return this.#pods.get(sandboxId);
  }

  get(sandboxId: string): PodMonitor {
    const monitor = this.#pods.get(sandboxId);
    if (!monitor) {
      throw new CoracleError(
        'FailedPrecondition',
        `sandbox ${quote(sandboxId)} has no running monitor`,
      );
    }
    return monitor;
  }

  /** Closes every connection; the pods go on, unless they are attached. */
  closeAll(): void {
    for (const monitor of this.#pods.values()) monitor.close();
  }
}

/** Whether a request failed because the connection to the monitor is gone, or was given up. */
export function isConnectionLost(error: unknown): boolean {
  return isNativeError(error) && error.step === 'monitor connection';
}
