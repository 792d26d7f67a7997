import { CoracleError, messageOf } from '../errors.ts';
import { failpoint } from '../failpoint.ts';
import { type Backend, type Change, MAX_KEY_BYTES } from './backend.ts';
import { decodeRecord, encodeRecord, jsonCodec, UnknownVersionError } from './codec.ts';
import { deepFreeze } from './frozen.ts';
import { QUARANTINE, quarantineRow } from './quarantine.ts';
import { shareMembers } from './share.ts';
import type { Store, StoreProblem } from './store.ts';
import type { Codec, Sync, Table } from './table.ts';

const TABLE_NAME = /^[a-z][a-z0-9-]*$/;

interface Batch {
  readonly changes: Change[];
  readonly publish: (() => void)[];
  readonly done: Promise<void>;
  /** Of a change that cannot be written; with it nothing of the transaction is. */
  error?: unknown;
}

/** Of one row: what is written, and what readers see afterwards. */
interface Write {
  readonly change: Change;
  readonly publish: () => void;
}

/** Tables as maps in memory over any Backend. */
export class MemoryStore implements Store {
  readonly problems: StoreProblem[] = [];
  readonly #backend: Backend;
  readonly #onProblem: (problem: StoreProblem) => void;
  readonly #tables = new Map<string, MemoryTable<unknown>>();
  /** The transaction whose function is running; there is no await while it is set. */
  #open: Batch | undefined;
  #closed = false;

  /** `met` is what was wrong before there were tables to open. */
  constructor(
    backend: Backend,
    onProblem: (problem: StoreProblem) => void = () => {},
    met: readonly StoreProblem[] = [],
  ) {
    this.#backend = backend;
    this.#onProblem = onProblem;
    for (const problem of met) {
      this.problems.push(problem);
      onProblem(problem);
    }
  }

  table<T>(name: string, codec: Codec<T> = jsonCodec<T>()): Table<T> {
    const known = this.#tables.get(name);
    if (known !== undefined) return known as MemoryTable<T>;
    if (!TABLE_NAME.test(name)) throw new TypeError(`${JSON.stringify(name)} names no table`);
    const rows = new Map<string, T>();
    let last: T | undefined;
    for (const [path, bytes] of this.#backend.load(`${name}/`)) {
      const key = path.slice(name.length + 1);
      try {
        const decoded = decodeRecord(codec, bytes, `${name}/${key}`);
        last = deepFreeze(shareMembers(decoded, last));
        rows.set(key, last);
      } catch (error) {
        this.#setAside(name, key, bytes, error as CoracleError);
      }
    }
    const table = new MemoryTable(name, codec, rows, last, (make) => this.#write(make));
    this.#tables.set(name, table as MemoryTable<unknown>);
    return table;
  }

  transact<R>(fn: () => Sync<R>, after?: Promise<unknown>): Promise<void> {
    if (this.#open !== undefined) return Promise.reject(new TypeError('transact inside transact'));
    const { promise, resolve } = withResolvers();
    const batch: Batch = { changes: [], publish: [], done: promise };
    // Callers inside `fn` may drop this promise; the caller of transact gets the rejection.
    promise.catch(() => {});
    this.#open = batch;
    let result: unknown;
    try {
      result = fn();
    } catch (error) {
      resolve(Promise.reject(error));
      return promise;
    } finally {
      this.#open = undefined;
    }
    if (typeof result === 'object' && result !== null && 'then' in result) {
      resolve(Promise.reject(new TypeError('the function of a transaction must be synchronous')));
      return promise;
    }
    if ('error' in batch) {
      resolve(Promise.reject(batch.error));
      return promise;
    }
    resolve(after ? after.then(() => this.#commit(batch)) : this.#commit(batch));
    return promise;
  }

  async flushed(): Promise<void> {
    try {
      await failpoint('store.flush');
      await this.#backend.flushed();
      await failpoint('store.flushed');
    } catch (error) {
      throw writeError(error);
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#backend.close();
  }

  #write(make: () => Write): Promise<void> {
    const open = this.#open;
    let write: Write;
    try {
      write = make();
    } catch (error) {
      if (open === undefined) return Promise.reject(error);
      open.error = error;
      return open.done;
    }
    const { change, publish } = write;
    if (open === undefined) return this.#commit({ changes: [change], publish: [publish] });
    open.changes.push(change);
    open.publish.push(publish);
    return open.done;
  }

  async #commit(batch: Pick<Batch, 'changes' | 'publish'>): Promise<void> {
    if (this.#closed) throw new CoracleError('Unavailable', 'the store is closed');
    if (batch.changes.length === 0) return;
    try {
      const pause = failpoint('store.commit');
      if (pause) await pause;
      await this.#backend.commit(batch.changes);
    } catch (error) {
      throw writeError(error);
    }
    const pause = failpoint('store.committed');
    if (pause) await pause;
    for (const publish of batch.publish) publish();
  }

  #setAside(table: string, key: string, bytes: Buffer, error: CoracleError): void {
    const outcome = error instanceof UnknownVersionError ? 'kept' : 'quarantined';
    const problem: StoreProblem = { table, key, outcome, error };
    this.problems.push(problem);
    if (outcome === 'quarantined' && table !== QUARANTINE) {
      // On a full disk the record stays where it is and is met again at the next start.
      this.#backend
        .commit([
          quarantineRow({ table, key, error: error.message, bytes }),
          { key: `${table}/${key}`, value: undefined },
        ])
        .catch(() => {});
    }
    this.#onProblem(problem);
  }
}

class MemoryTable<T> implements Table<T> {
  readonly name: string;
  readonly #codec: Codec<T>;
  readonly #rows: Map<string, T>;
  /** The newest row: the next one shares what is the same in both. */
  #last: T | undefined;
  readonly #write: (make: () => Write) => Promise<void>;

  constructor(
    name: string,
    codec: Codec<T>,
    rows: Map<string, T>,
    last: T | undefined,
    write: (make: () => Write) => Promise<void>,
  ) {
    this.name = name;
    this.#codec = codec;
    this.#rows = rows;
    this.#last = last;
    this.#write = write;
  }

  get size(): number {
    return this.#rows.size;
  }

  get(key: string): T | undefined {
    return this.#rows.get(key);
  }

  has(key: string): boolean {
    return this.#rows.has(key);
  }

  entries(): Iterable<[string, T]> {
    return this.#rows.entries();
  }

  put(key: string, value: T): Promise<void> {
    return this.#write(() => {
      if (key === '' || Buffer.byteLength(key) > MAX_KEY_BYTES) {
        throw new TypeError(`${this.name}: a key has 1 to ${MAX_KEY_BYTES} bytes`);
      }
      const path = `${this.name}/${key}`;
      const bytes = encodeRecord(this.#codec, value);
      // What readers see is what a restart would read, and shares nothing with the caller.
      const copy = deepFreeze(shareMembers(decodeRecord(this.#codec, bytes, path), this.#last));
      this.#last = copy;
      return { change: { key: path, value: bytes }, publish: () => this.#rows.set(key, copy) };
    });
  }

  remove(key: string): Promise<void> {
    return this.#write(() => ({
      change: { key: `${this.name}/${key}`, value: undefined },
      publish: () => this.#rows.delete(key),
    }));
  }
}

const DISK_FULL = new Set([28 /* ENOSPC */, 122 /* EDQUOT */, 'ENOSPC', 'EDQUOT']);

function writeError(error: unknown): CoracleError {
  if (error instanceof CoracleError) return error;
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
  const full = DISK_FULL.has(code as string | number);
  return new CoracleError(
    full ? 'ResourceExhausted' : 'Unavailable',
    `write state: ${messageOf(error)}`,
    full ? { cause: error, reason: 'DiskFull' } : { cause: error },
  );
}

function withResolvers(): { promise: Promise<void>; resolve: (value: Promise<void>) => void } {
  let resolve: (value: Promise<void>) => void = () => {};
  const promise = new Promise<void>((r) => {
    resolve = r;
  });
  return { promise, resolve };
}
