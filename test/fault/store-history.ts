import type { Operation } from './recording.ts';

/** The row in which every commit of the workload has its number. */
export const COUNT = 'count/commits';

/** What the workload notes. */
export type StoreMark =
  | { begun: number; changes: (readonly [key: string, base64: string | null])[] }
  | { durable: number };

/** Which commits there have been, and which of them have been promised to survive, so far. */
export class StoreHistory {
  #states: ReadonlyMap<string, string>[] = [new Map()];
  #durable = 0;

  /** The same until now. */
  fork(): StoreHistory {
    const copy = new StoreHistory();
    copy.#states = [...this.#states];
    copy.#durable = this.#durable;
    return copy;
  }

  /** The last commit that was acknowledged as durable. */
  get durable(): number {
    return this.#durable;
  }

  /** The last one that was begun. */
  get begun(): number {
    return this.#states.length - 1;
  }

  see(operation: Operation): void {
    if (operation.kind !== 'M') return;
    const mark = JSON.parse(operation.bytes.toString()) as StoreMark;
    if ('durable' in mark) {
      this.#durable = Math.max(this.#durable, mark.durable);
      return;
    }
    const { begun, changes } = mark;
    // A commit that was cut off by the death of its process never was; the next has its number.
    this.#states.length = begun;
    const next = new Map(this.#states.at(-1));
    for (const [key, value] of changes) {
      if (value === null) next.delete(key);
      else next.set(key, value);
    }
    this.#states.push(next);
  }

  /**
   * What is wrong with the rows that were found: they must be those after one commit, none that was
   * promised may be missing.
   */
  judge(rows: ReadonlyMap<string, string>): string | undefined {
    const count = rows.get(COUNT);
    const at = count === undefined ? 0 : Number(Buffer.from(count, 'base64').toString());
    if (at < this.#durable) return `commit ${at} is the last; ${this.#durable} was durable`;
    const state = this.#states[at];
    if (state === undefined) return `commit ${at} was never begun`;
    for (const key of new Set([...state.keys(), ...rows.keys()])) {
      if (state.get(key) === rows.get(key)) continue;
      return `${key} is not as commit ${at} left it (durable: ${this.#durable})`;
    }
    return undefined;
  }
}
