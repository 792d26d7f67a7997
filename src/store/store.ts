import type { CoracleError } from '../errors.ts';
import type { Codec, Sync, Table } from './table.ts';

/** A record that could not be read when its table was opened, or a file when the store was. */
export interface StoreProblem {
  /** Empty where it is a file. */
  readonly table: string;
  /** A record's key, or a file's path. */
  readonly key: string;
  /**
   * `quarantined`: damaged, moved aside into the table `quarantine`. `kept`: written by another
   * version of the program; left in place, where that version will find it, but invisible.
   * `rebuilt`: a damaged file, in whose place is a new one with what of it is whole. `lost`: a part
   * of a file that cannot be read, and which nothing else has.
   */
  readonly outcome: 'quarantined' | 'kept' | 'rebuilt' | 'lost';
  /** DataLoss, naming table and key, or the file. */
  readonly error: CoracleError;
}

export interface Store {
  /**
   * Opens a table and reads all of it; every call with one name returns the same table. Without a
   * codec values are plain JSON data and bigints, version 1.
   */
  table<T>(name: string, codec?: Codec<T>): Table<T>;
  /**
   * Collects the puts and removes that `fn` makes on any tables of this store and commits them as
   * one: all or none, on disk and in memory. Reads inside `fn` still see the state before it. If
   * `fn` throws, or puts what cannot be encoded, nothing is written and the promise rejects with that.
   *
   * With `after`, what `fn` put is encoded at once and written when that resolves; where it rejects,
   * nothing is written and the promise rejects with the same.
   */
  transact<R>(fn: () => Sync<R>, after?: Promise<unknown>): Promise<void>;
  /** Resolves when everything that was committed before this call is durable. */
  flushed(): Promise<void>;
  /** Writes out what is pending and gives up the lock of the root directory. */
  close(): Promise<void>;
  /** Everything that could not be read so far; new ones are also passed to `onProblem`. */
  readonly problems: readonly StoreProblem[];
}
