import { CoracleError, notFound } from '../errors.ts';
import { Cell } from './cell.ts';
import {
  type ContainerStatus,
  containerStatusCodec,
  containerStatusRules,
  createdStatus,
  type StatusCell,
} from './container-status.ts';
import { resolveId } from './ids.ts';
import { containerRecordCodec } from './record-codec.ts';
import { Removals } from './removals.ts';
import type { Store } from './store.ts';
import type { Table } from './table.ts';
import type { ContainerRecord } from './types.ts';

export interface Container {
  readonly record: ContainerRecord;
  readonly status: StatusCell;
}

/**
 * All containers, by id or unique prefix of one. Record and status are rows of two tables, so that
 * a change of status writes some 200 bytes.
 */
export class ContainerStore {
  readonly #store: Store;
  readonly #records: Table<ContainerRecord>;
  readonly #statuses: Table<ContainerStatus>;
  readonly #containers = new Map<string, Container>();
  readonly #adding = new Set<string>();
  readonly #removals: Removals;

  constructor(store: Store) {
    this.#store = store;
    this.#records = store.table('containers', containerRecordCodec);
    this.#statuses = store.table('container-status', containerStatusCodec);
    this.#removals = new Removals(store, [this.#records, this.#statuses]);
    for (const [id, record] of this.#records.entries()) {
      // A status that is lost leaves a container that can at least be seen, ended and removed.
      const status = this.#statuses.get(id) ?? {
        ...createdStatus(record.createdAt),
        unknown: true,
      };
      this.#containers.set(id, this.#container(record, status));
    }
  }

  /**
   * Adds a container in state CREATED, durably. AlreadyExists if the id is taken (SS-11). Its record
   * is encoded at once, and written when `made` resolves; where that rejects, so does this.
   */
  async add(record: ContainerRecord, made?: Promise<unknown>): Promise<Container> {
    const { id } = record;
    if (this.#containers.has(id) || this.#adding.has(id)) {
      throw new CoracleError('AlreadyExists', `container ${id} exists already`);
    }
    const status = createdStatus(record.createdAt);
    this.#adding.add(id);
    try {
      await this.#store.transact(() => {
        void this.#records.put(id, record);
        void this.#statuses.put(id, status);
      }, made);
      try {
        await this.#store.flushed();
      } catch (error) {
        await this.#removals.remove(id);
        throw error;
      }
      const container = this.#container(this.#records.get(id) ?? record, status);
      this.#containers.set(id, container);
      return container;
    } finally {
      this.#adding.delete(id);
    }
  }

  /** Throws NotFound, or InvalidArgument for an empty or ambiguous id. */
  get(id: string): Container {
    const found = this.find(id);
    if (found === undefined) throw notFound('container', id);
    return found;
  }

  /** As `get`, but undefined where there is none. */
  find(id: string): Container | undefined {
    const full = resolveId('container', this.#containers, id);
    return full === undefined ? undefined : this.#containers.get(full);
  }

  /** Only of the full id. */
  has(id: string): boolean {
    return this.#containers.has(id);
  }

  list(): Container[] {
    return [...this.#containers.values()];
  }

  /**
   * Removes record and status as one, durably (SS-9). An absent id is no error. If the disk takes
   * no writes the container is gone from memory all the same and the rows follow later; a restart
   * before that brings it back as it was last recorded.
   */
  async remove(id: string): Promise<void> {
    const container = this.#containers.get(id);
    if (container === undefined) return;
    await container.status.close();
    await this.#removals.remove(id);
    this.#containers.delete(id);
  }

  /** Containers whose status, and ids whose removal, the disk has yet to take. */
  get dirty(): number {
    const behind = this.list().filter(({ status }) => status.dirty).length;
    return behind + this.#removals.pending;
  }

  #container(record: ContainerRecord, status: ContainerStatus): Container {
    const place = {
      store: this.#store,
      table: this.#statuses,
      key: record.id,
      what: `container ${record.id}`,
    };
    return Object.freeze({ record, status: new Cell(status, place, containerStatusRules) });
  }
}

export function openContainers(store: Store): ContainerStore {
  return new ContainerStore(store);
}
