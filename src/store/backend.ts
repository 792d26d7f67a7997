/** One change of one key; `value` undefined removes it. */
export interface Change {
  readonly key: string;
  readonly value: Buffer | undefined;
}

/**
 * The file format under a Store: one ordered map from string to bytes. Narrow on purpose, so that
 * the engine can be exchanged, and so that tests can put a failing one in its place.
 */
export interface Backend {
  /** All entries whose key starts with `prefix`; read once, when a table is opened. */
  load(prefix: string): Iterable<[key: string, value: Buffer]>;
  /**
   * All changes or none. Resolves when committed; commits are applied and resolve in the order of
   * the calls. Rejects with the engine's error, then no change was made.
   */
  commit(changes: readonly Change[]): Promise<void>;
  /** Resolves when every commit that has resolved so far is durable. */
  flushed(): Promise<void>;
  close(): Promise<void>;
}

/** The longest key that every engine takes, with the table's name, bytes; LMDB takes 1978. */
export const MAX_KEY_BYTES = 1800;

/** The largest value that may use the space which engines keep in reserve, bytes. */
const SMALL = 1024;

/**
 * Whether a commit may use the last of the space that was allotted beforehand. Removals and status
 * changes may, so that a full disk can be emptied; new records may not.
 */
export function mayUseReserve(changes: readonly Change[]): boolean {
  return changes.every(({ value }) => value === undefined || value.length <= SMALL);
}
