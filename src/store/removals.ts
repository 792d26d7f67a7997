import type { Store } from './store.ts';
import type { Table } from './table.ts';

/** Pauses between attempts, ms. */
const FIRST_RETRY = 100;
const LAST_RETRY = 30_000;

/** Removes rows of several tables as one, and does not give up: a full disk must be emptied. */
export class Removals {
  readonly #store: Store;
  readonly #tables: readonly Pick<Table<unknown>, 'remove'>[];
  readonly #pending = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(store: Store, tables: readonly Pick<Table<unknown>, 'remove'>[]) {
    this.#store = store;
    this.#tables = tables;
  }

  /** Keys whose rows are still on disk. */
  get pending(): number {
    return this.#pending.size;
  }

  /** Resolves when the removal is durable, or has failed once and is being retried. */
  async remove(key: string): Promise<void> {
    this.#pending.add(key);
    if (!(await this.#attempt(key))) this.#retryIn(FIRST_RETRY);
  }

  async #attempt(key: string): Promise<boolean> {
    try {
      await this.#store.transact(() => {
        for (const table of this.#tables) void table.remove(key);
      });
      await this.#store.flushed();
      this.#pending.delete(key);
      return true;
    } catch {
      return false;
    }
  }

  #retryIn(ms: number): void {
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(async () => {
      const done = await Promise.all([...this.#pending].map((key) => this.#attempt(key)));
      this.#timer = undefined;
      if (done.includes(false)) this.#retryIn(Math.min(ms * 2, LAST_RETRY));
    }, ms).unref();
  }
}
