import { CoracleError } from '../errors.ts';
import { deepFreeze } from './frozen.ts';
import { SerialQueue } from './serial-queue.ts';
import type { Store } from './store.ts';
import type { Sync, Table } from './table.ts';

/** What may become of a value, and which of its fields never reach the disk. */
export interface CellRules<S> {
  /** Fields that live in memory only; the table's codec leaves them out, too. */
  readonly flags: readonly (keyof S)[];
  /** Throws FailedPrecondition where `after` may not follow `before`. */
  check(before: S, after: S): void;
}

export interface CellPlace<S> {
  readonly store: Store;
  readonly table: Table<S>;
  readonly key: string;
  /** For errors: "container 4f53…". */
  readonly what: string;
}

export interface UpdateOptions {
  /** Flush before publishing, so that the new value survives loss of power. */
  durable?: boolean;
}

/** Pauses between attempts to write what could not be written, ms. */
const FIRST_RETRY = 100;
const LAST_RETRY = 30_000;
/** How long what has happened waits for a disk that does not answer, ms (EX-2). */
const PATIENCE = 10_000;

/**
 * One value with transactions: a function from the last value to the next.
 *
 * Readers never wait: they get the last published value, frozen. Writers are serial, each sees what
 * the one before it published; other cells are not held up. A value is persisted first and
 * published after, and an error in the function, in the encoding or in the writing changes nothing.
 */
export class Cell<S extends object> {
  #value: S;
  #dirty = false;
  #closed = false;
  #retry: NodeJS.Timeout | undefined;
  readonly #place: CellPlace<S>;
  readonly #rules: CellRules<S>;
  readonly #writers = new SerialQueue();

  /** `initial` is what the table holds under the key already. */
  constructor(initial: S, place: CellPlace<S>, rules: CellRules<S>) {
    this.#value = deepFreeze({ ...initial });
    this.#place = place;
    this.#rules = rules;
  }

  /** The last published value: immutable, and the same object until the next change. */
  get(): S {
    return this.#value;
  }

  /** The published value is ahead of the disk, which was full; writing it is being retried. */
  get dirty(): boolean {
    return this.#dirty;
  }

  /**
   * Changes flags, in memory, at once. `fn` throws to refuse; then nothing has changed. Throws
   * TypeError if `fn` changes what is persisted: that takes `updateSync`.
   */
  update<N extends S>(fn: (value: S) => Sync<N>): S {
    const after = this.#apply(fn);
    for (const field of changedFields(this.#value, after)) {
      if (!this.#rules.flags.includes(field)) {
        throw new TypeError(`${String(field)} is persisted and cannot be changed in memory only`);
      }
    }
    this.#rules.check(this.#value, after);
    return this.#publish(after);
  }

  /**
   * Persists, then publishes, then resolves. Rejects with what `fn` threw,
   * with FailedPrecondition for a move that is not legal, ResourceExhausted for a full disk,
   * Unavailable for other failures to write, NotFound once the cell is closed; nothing has
   * changed then. `durable` is false by default.
   */
  updateSync<N extends S>(
    fn: (value: S) => Sync<N>,
    { durable = false }: UpdateOptions = {},
  ): Promise<void> {
    return this.#writers.run(async () => {
      if (this.#closed) throw gone(this.#place.what);
      const before = this.#value;
      const after = this.#apply(fn);
      const changed = changedFields(before, after);
      this.#rules.check(before, after);
      if (this.#mustPersist(changed)) {
        await this.#persist(after, durable, before);
        this.#clean();
      }
      this.#publish(after, changed);
    });
  }

  /**
   * As `updateSync`, but for what has happened and cannot be refused, as an exit: if the value
   * cannot be written, or not within 10 s, it is published all the same, marked dirty, and written
   * as soon as that works. Rejects only with what `fn` threw or for a move that is not legal. Once
   * the cell is closed it changes memory alone. `durable` is true by default.
   */
  settle<N extends S>(
    fn: (value: S) => Sync<N>,
    { durable = true }: UpdateOptions = {},
  ): Promise<void> {
    return this.#writers.run(async () => {
      const before = this.#value;
      const after = this.#apply(fn);
      const changed = changedFields(before, after);
      this.#rules.check(before, after);
      if (!this.#closed && this.#mustPersist(changed)) {
        try {
          await within(this.#persist(after, durable), PATIENCE);
          this.#clean();
        } catch {
          this.#dirty = true;
          this.#retryIn(FIRST_RETRY);
        }
      }
      this.#publish(after, changed);
    });
  }

  /**
   * Waits for the writers that are at work, then ends persistence: what is removed must not be
   * written again.
   */
  async close(): Promise<void> {
    this.#closed = true;
    this.#clean();
    await this.#writers.drained();
  }

  #apply<N extends S>(fn: (value: S) => Sync<N>): S {
    const after: unknown = fn(this.#value);
    if (typeof after !== 'object' || after === null || 'then' in after) {
      throw new TypeError('the function of an update must return the next value, synchronously');
    }
    return after as S;
  }

  #mustPersist(changed: readonly (keyof S)[]): boolean {
    return changed.some((field) => !this.#rules.flags.includes(field));
  }

  async #persist(after: S, durable: boolean, before?: S): Promise<void> {
    const { store, table, key } = this.#place;
    await table.put(key, after);
    if (!durable) return;
    try {
      await store.flushed();
    } catch (error) {
      // What is not published must not come back with a restart, either.
      if (before !== undefined) await table.put(key, before).catch(() => {});
      throw error;
    }
  }

  /**
   * Flags may have changed while a writer waited for the disk; what the writer did not touch keeps
   * its present value.
   */
  #publish(after: S, changed?: readonly (keyof S)[]): S {
    if (changed === undefined) {
      this.#value = deepFreeze({ ...after });
      return this.#value;
    }
    const next = { ...after };
    for (const flag of this.#rules.flags) {
      if (!changed.includes(flag)) next[flag] = this.#value[flag];
    }
    this.#value = deepFreeze(next);
    return this.#value;
  }

  #clean(): void {
    this.#dirty = false;
    clearTimeout(this.#retry);
    this.#retry = undefined;
  }

  #retryIn(ms: number): void {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => {
      void this.#writers.run(async () => {
        if (!this.#dirty || this.#closed) return;
        try {
          await this.#persist(this.#value, true);
          this.#clean();
        } catch {
          this.#retryIn(Math.min(ms * 2, LAST_RETRY));
        }
      });
    }, ms).unref();
  }
}

function changedFields<S extends object>(before: S, after: S): (keyof S)[] {
  const fields = new Set([...Object.keys(before), ...Object.keys(after)]) as Set<keyof S & string>;
  return [...fields].filter((field) => before[field] !== after[field]);
}

/** Rejects where `promise` takes longer; that may then fail without anybody's hearing it. */
async function within(promise: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not written within ${ms} ms`)), ms);
  });
  try {
    await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function gone(what: string): CoracleError {
  return new CoracleError('NotFound', `${what} has been removed`);
}
