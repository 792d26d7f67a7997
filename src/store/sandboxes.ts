import { CoracleError, notFound } from '../errors.ts';
import { Cell, type CellRules } from './cell.ts';
import { resolveId } from './ids.ts';
import { sandboxRecordCodec } from './record-codec.ts';
import { Removals } from './removals.ts';
import { SerialQueue } from './serial-queue.ts';
import type { Store } from './store.ts';
import type { Table } from './table.ts';
import type { SandboxRecord } from './types.ts';

export type SandboxState = 'ready' | 'notReady';

/** A sandbox that is being made. */
export interface Making {
  /** Settles, never rejects, when the making is over. */
  readonly over: Promise<void>;
  /** Lets go of what the making waits for; it then fails and undoes itself. */
  abandon(): void;
}

const rules: CellRules<SandboxRecord> = {
  flags: [],
  check(before, after) {
    if (after.id !== before.id || after.name !== before.name) {
      throw new TypeError('id and name of a sandbox do not change');
    }
    if (before.stoppedAt !== 0n && after.stoppedAt !== before.stoppedAt) {
      throw new CoracleError('FailedPrecondition', `sandbox ${before.id} has stopped for good`, {
        reason: 'IllegalTransition',
      });
    }
  },
};

/** A pod sandbox: its record, and how it moves on: made → ready → stopped. */
export class Sandbox {
  /** In memory only: the making that is under way. */
  making: Making | undefined;
  /** In memory only: how many stops are under way. */
  stops = 0;
  /** In memory only: the removal under way, for all who ask for one. */
  removal: Promise<void> | undefined;
  /** In memory only: updates of the pod's limits, one after another. */
  readonly updates = new SerialQueue();
  readonly #cell: Cell<SandboxRecord>;

  constructor(cell: Cell<SandboxRecord>) {
    this.#cell = cell;
  }

  /** Nothing new may be created or started in it. */
  get stopping(): boolean {
    return this.stops > 0;
  }

  /** The last published record, immutable. */
  get record(): SandboxRecord {
    return this.#cell.get();
  }

  /** Derived: ready from the moment it has a monitor until it is stopped. */
  get state(): SandboxState {
    const { monitorPid, stoppedAt } = this.record;
    return monitorPid !== undefined && stoppedAt === 0n ? 'ready' : 'notReady';
  }

  /** The disk has yet to take the record. */
  get dirty(): boolean {
    return this.#cell.dirty;
  }

  /** Persists durably what the finished sandbox got, network and monitor, and makes it ready. */
  async ready(record: SandboxRecord): Promise<void> {
    await this.#cell.updateSync(() => record, { durable: true });
  }

  /**
   * Records the stop; the first one stays. A full disk does not hold it up. Committed, not flushed:
   * after a loss of power no pod is ready, whatever its record says. `at` in ns. Resolves to whether
   * it had been ready until now.
   */
  async stopped(at: bigint): Promise<boolean> {
    let news = false;
    const fn = (record: SandboxRecord): SandboxRecord => {
      news = record.stoppedAt === 0n;
      return news ? { ...record, stoppedAt: at } : record;
    };
    await this.#cell.settle(fn, { durable: false });
    return news && this.record.monitorPid !== undefined;
  }

  /** Persists, then publishes, another change of the record; committed, not flushed. */
  async change(fn: (record: SandboxRecord) => SandboxRecord): Promise<void> {
    await this.#cell.updateSync(fn);
  }

  /** Ends persistence, before the removal of the record. */
  close(): Promise<void> {
    return this.#cell.close();
  }
}

/** All sandboxes, by id or unique prefix of one. */
export class SandboxStore {
  readonly #store: Store;
  readonly #records: Table<SandboxRecord>;
  readonly #sandboxes = new Map<string, Sandbox>();
  readonly #adding = new Set<string>();
  readonly #removals: Removals;

  constructor(store: Store) {
    this.#store = store;
    this.#records = store.table('sandboxes', sandboxRecordCodec);
    this.#removals = new Removals(store, [this.#records]);
    for (const [id, record] of this.#records.entries()) {
      this.#sandboxes.set(id, this.#sandbox(record));
    }
  }

  /** Adds a record, committed, not flushed. AlreadyExists if the id is taken (SS-11). */
  async add(record: SandboxRecord): Promise<Sandbox> {
    const { id } = record;
    if (this.#sandboxes.has(id) || this.#adding.has(id)) {
      throw new CoracleError('AlreadyExists', `sandbox ${id} exists already`);
    }
    this.#adding.add(id);
    try {
      await this.#records.put(id, record);
      const sandbox = this.#sandbox(this.#records.get(id) ?? record);
      this.#sandboxes.set(id, sandbox);
      return sandbox;
    } finally {
      this.#adding.delete(id);
    }
  }

  /** Throws NotFound, or InvalidArgument for an empty or ambiguous id. */
  get(id: string): Sandbox {
    const found = this.find(id);
    if (found === undefined) throw notFound('sandbox', id);
    return found;
  }

  /** As `get`, but undefined where there is none. */
  find(id: string): Sandbox | undefined {
    const full = resolveId('sandbox', this.#sandboxes, id);
    return full === undefined ? undefined : this.#sandboxes.get(full);
  }

  /** Only of the full id. */
  has(id: string): boolean {
    return this.#sandboxes.has(id);
  }

  list(): Sandbox[] {
    return [...this.#sandboxes.values()];
  }

  /** Durably, as `ContainerStore.remove`. An absent id is no error. */
  async remove(id: string): Promise<void> {
    const sandbox = this.#sandboxes.get(id);
    if (sandbox === undefined) return;
    await sandbox.close();
    await this.#removals.remove(id);
    this.#sandboxes.delete(id);
  }

  /** Sandboxes whose record, and ids whose removal, the disk has yet to take. */
  get dirty(): number {
    return this.list().filter((sandbox) => sandbox.dirty).length + this.#removals.pending;
  }

  #sandbox(record: SandboxRecord): Sandbox {
    const place = {
      store: this.#store,
      table: this.#records,
      key: record.id,
      what: `sandbox ${record.id}`,
    };
    return new Sandbox(new Cell(record, place, rules));
  }
}

export function openSandboxes(store: Store): SandboxStore {
  return new SandboxStore(store);
}
