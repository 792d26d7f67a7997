/**
 * What the rest of the program sees of persistence: tables of small records, all of them in memory,
 * every change on disk before it shows.
 *
 * Two levels of durability, by these names throughout:
 * - *committed*: survives the death of this process, however it dies;
 * - *durable*: survives loss of power as well.
 */
/** How the values of a table are written. */
export interface Codec<T> {
  /** Stored with each record; a record of another version is refused unless `decode` takes it. */
  readonly version: number;
  /** To plain data: what JSON has, and bigints. */
  encode(value: T): unknown;
  /**
   * From what `encode` made, of `version` (always one of `reads`). Throws on data that is no such
   * value.
   */
  decode(data: unknown, version: number): T;
  /** Versions that `decode` takes; by default only `version`. */
  readonly reads?: readonly number[];
}

/** Readers get deeply frozen values and never touch the disk. */
export interface Table<T> {
  readonly name: string;
  readonly size: number;
  get(key: string): T | undefined;
  has(key: string): boolean;
  /** In no particular order; changes made while iterating may or may not be seen. */
  entries(): Iterable<[string, T]>;
  /**
   * Resolves when committed, and only then does `get` return the new value. The table keeps a copy:
   * later changes to `value` are not seen. Rejects with ResourceExhausted on a full disk, with
   * Unavailable on other failures to write; then nothing has changed, neither on disk nor in memory.
   *
   * Called inside `Store.transact`, it joins that transaction and returns its promise.
   */
  put(key: string, value: T): Promise<void>;
  /** As `put`. A key that is absent is no error. */
  remove(key: string): Promise<void>;
}

/**
 * The result type of a function that must be synchronous: an async function does not fit. An await
 * inside a transaction would let other writers in between its reads and its writes.
 */
export type Sync<R> = R extends PromiseLike<unknown> ? never : R;
