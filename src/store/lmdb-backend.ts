import { mkdirSync } from 'node:fs';
import { open, type RootDatabase } from 'lmdb';
import type { Backend, Change } from './backend.ts';

/** LMDB in `directory`. Every commit is durable when it resolves: LMDB syncs inside it. */
export class LmdbBackend implements Backend {
  readonly #db: RootDatabase<Buffer, string>;

  constructor(directory: string) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#db = open({
      path: directory,
      noSubdir: false,
      encoding: 'binary',
      // A commit starts when it is asked for, not at the end of the turn of the event loop.
      eventTurnBatching: false,
    });
  }

  *load(prefix: string): Iterable<[string, Buffer]> {
    // Keys are compared as bytes of UTF-8, in which no character reaches 0xff.
    for (const { key, value } of this.#db.getRange({ start: prefix, end: `${prefix}\u{10ffff}` })) {
      yield [key, Buffer.copyBytesFrom(value)];
    }
  }

  async commit(changes: readonly Change[]): Promise<void> {
    const parts: Promise<unknown>[] = [];
    const whole = this.#db.batch(() => {
      for (const { key, value } of changes) {
        parts.push(value === undefined ? this.#db.remove(key) : this.#db.put(key, value));
      }
    });
    // LMDB rejects each of these promises with the one failure of the transaction.
    const [result] = await Promise.allSettled([whole, ...parts]);
    if (result.status === 'fulfilled') return;
    throw await causeOf(result.reason);
  }

  async flushed(): Promise<void> {
    await this.#db.flushed;
  }

  async close(): Promise<void> {
    await this.#db.close();
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
