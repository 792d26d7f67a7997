import { closeSync, fstatSync, ftruncateSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { open, type RootDatabase } from 'lmdb';
import { failpoint } from '../failpoint.ts';
import { type Backend, type Change, mayUseReserve } from './backend.ts';
import { SerialQueue } from './serial-queue.ts';
import { writeAll } from './write-all.ts';

/** What the file grows by at least, bytes. */
const GROWTH = 1024 * 1024;
/** Pages that a commit may take for its trees and its list of free pages, beside its values. */
const OVERHEAD_PAGES = 32;
/** Pages that one change may copy or split: the height of a tree of many records. */
const PAGES_A_CHANGE = 4;
/** Pages that are kept for commits which free space. */
const RESERVED_PAGES = 128;

/**
 * LMDB in `directory`. Every commit is durable when it resolves: LMDB syncs inside it.
 *
 * LMDB must never meet a damaged file, whose page numbers it follows wherever they lead: see
 * engine.ts. Nor a full disk: lmdb 3.5.6 answers a page that cannot be written with a corrupted
 * heap. So the file is grown ahead of LMDB, by a plain write whose failure harms nothing.
 */
export class LmdbBackend implements Backend {
  readonly #db: RootDatabase<Buffer, string>;
  readonly #fd: number;
  readonly #commits = new SerialQueue();
  #size: number;

  constructor(directory: string) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#db = open({
      path: directory,
      noSubdir: false,
      encoding: 'binary',
      // Pages are synced before the meta page that leads to them is written, so the latest meta page
      // is always good. Overlapping syncs, the default, would save time that the journal hides.
      overlappingSync: false,
      // A commit starts when it is asked for, not at the end of the turn of the event loop.
      eventTurnBatching: false,
    });
    this.#fd = openSync(join(directory, 'data.mdb'), 'r+');
    this.#size = fstatSync(this.#fd).size;
  }

  *load(prefix: string): Iterable<[string, Buffer]> {
    // Keys are compared as bytes of UTF-8, in which nothing sorts after U+10FFFF.
    for (const { key, value } of this.#db.getRange({ start: prefix, end: `${prefix}\u{10ffff}` })) {
      yield [key, Buffer.from(value)];
    }
  }

  commit(changes: readonly Change[]): Promise<void> {
    return this.#commits.run(async () => {
      await failpoint('lmdb.commit');
      this.#grow(changes);
      const parts: Promise<unknown>[] = [];
      const whole = this.#db.batch(() => {
        for (const { key, value } of changes) {
          parts.push(value === undefined ? this.#db.remove(key) : this.#db.put(key, value));
        }
      });
      // LMDB rejects each of these promises with the one failure of the transaction.
      const [result] = await Promise.allSettled([whole, ...parts]);
      if (result.status === 'rejected') throw await causeOf(result.reason);
    });
  }

  async flushed(): Promise<void> {
    await this.#commits.drained();
    await failpoint('lmdb.flush');
  }

  async close(): Promise<void> {
    await this.#commits.drained();
    await this.#db.close();
    closeSync(this.#fd);
  }

  /** Throws what write(2) does, where the file cannot hold what the commit may need. */
  #grow(changes: readonly Change[]): void {
    const { lastPageNumber, pageSize } = this.#db.getStats() as {
      lastPageNumber: number;
      pageSize: number;
    };
    const used = lastPageNumber + 1;
    // Every page that is in use may be copied, and split, but no page twice.
    let pages = used + OVERHEAD_PAGES + Math.min(used, PAGES_A_CHANGE * changes.length);
    for (const { value } of changes) pages += Math.ceil((2 * (value?.length ?? 0)) / pageSize);
    const needed = pages * pageSize;
    const wanted = needed + RESERVED_PAGES * pageSize;
    if (wanted <= this.#size) return;
    const size = Math.max(wanted, this.#size + GROWTH);
    try {
      writeAll(this.#fd, Buffer.alloc(size - this.#size), this.#size);
      this.#size = size;
    } catch (error) {
      ftruncateSync(this.#fd, this.#size);
      if (needed > this.#size || !mayUseReserve(changes)) throw error;
    }
  }
}

/** The system's error hides in a promise that only ever rejects. */
async function causeOf(error: unknown): Promise<unknown> {
  if (!(error instanceof Error) || !('commitError' in error)) return error;
  try {
    return (await error.commitError) ?? error;
  } catch (cause) {
    return cause;
  }
}
