import { CoracleError, quote } from '../errors.ts';

/**
 * Names in use, each by one id (SS-13). In memory only: the records carry the names, and a restart
 * reserves them anew.
 */
export class NameRegistry {
  readonly #what: string;
  readonly #holders = new Map<string, string>();
  readonly #names = new Map<string, string>();

  /** `what` is named in errors: "container", "sandbox". */
  constructor(what: string) {
    this.#what = what;
  }

  /**
   * Throws AlreadyExists, reason NameReserved, if another id holds the name or the id holds
   * another name. To reserve what one holds already is no error.
   */
  reserve(name: string, id: string): void {
    const holder = this.#holders.get(name);
    if (holder !== undefined && holder !== id) {
      throw new CoracleError(
        'AlreadyExists',
        `${this.#what} name ${quote(name)} is reserved for ${holder}`,
        { reason: 'NameReserved' },
      );
    }
    const held = this.#names.get(id);
    if (held !== undefined && held !== name) {
      throw new CoracleError(
        'AlreadyExists',
        `${this.#what} ${id} holds the name ${quote(held)}, not ${quote(name)}`,
        { reason: 'NameReserved' },
      );
    }
    this.#holders.set(name, id);
    this.#names.set(id, name);
  }

  /** A name that nobody holds is no error. */
  release(name: string): void {
    const id = this.#holders.get(name);
    if (id === undefined) return;
    this.#holders.delete(name);
    this.#names.delete(id);
  }

  /** Releases whatever name the id holds. */
  releaseId(id: string): void {
    const name = this.#names.get(id);
    if (name !== undefined) this.release(name);
  }

  /** The id that holds a name. */
  holder(name: string): string | undefined {
    return this.#holders.get(name);
  }

  /**
   * Reserves the names of records that were loaded. A name that two records claim goes to the
   * first; the others are returned, since a clash must not keep a server from starting (RC-3).
   */
  rebuild<R extends { id: string; name: string }>(records: Iterable<R>): R[] {
    const clashing: R[] = [];
    for (const record of records) {
      try {
        this.reserve(record.name, record.id);
      } catch {
        clashing.push(record);
      }
    }
    return clashing;
  }
}
