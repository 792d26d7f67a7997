import { CoracleError } from '../errors.ts';
import type { EntryStatus, MonitorConnection } from '../native/types.ts';
import { type Deferred, deferred } from './deferred.ts';

/** How an armed wait ended: the entry's exit, or the loss of the monitor that would have told. */
export type Exit = { kind: 'exited'; status: EntryStatus } | { kind: 'lost' };

/**
 * The connection to one pod's monitor, and who waits for which exit.
 *
 * A wait is armed before the process can run, so an exit finds its waiter (ST-12).
 */
export class PodMonitor {
  readonly connection: MonitorConnection;
  /** Settles when the monitor's end of the connection is gone. */
  readonly closed: Promise<void>;
  readonly #exits = new Map<string, Deferred<Exit>>();

  constructor(connection: MonitorConnection) {
    this.connection = connection;
    const closed = deferred<void>();
    this.closed = closed.promise;
    connection.onExit = (status) => this.#settle(status.id, { kind: 'exited', status });
    connection.onClose = () => {
      for (const id of [...this.#exits.keys()]) this.#settle(id, { kind: 'lost' });
      closed.resolve();
    };
  }

  /** Arms the wait for an entry's exit. Arming twice gives the same promise. */
  armExit(id: string): Promise<Exit> {
    const armed = this.#exits.get(id) ?? deferred<Exit>();
    this.#exits.set(id, armed);
    return armed.promise;
  }

  /** Forgets a wait whose entry will never run. */
  disarm(id: string): void {
    this.#exits.delete(id);
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
    const monitor = new PodMonitor(connection);
    this.#pods.set(sandboxId, monitor);
    monitor.closed.then(() => this.#pods.delete(sandboxId));
    return monitor;
  }

  find(sandboxId: string): PodMonitor | undefined {
    return this.#pods.get(sandboxId);
  }

  get(sandboxId: string): PodMonitor {
    const monitor = this.#pods.get(sandboxId);
    if (!monitor) {
      throw new CoracleError(
        'FailedPrecondition',
        `sandbox ${JSON.stringify(sandboxId)} has no running monitor`,
      );
    }
    return monitor;
  }

  /** Closes every connection; the pods go on, unless they are attached. */
  closeAll(): void {
    for (const monitor of this.#pods.values()) monitor.connection.close();
  }
}
