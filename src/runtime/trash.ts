import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Addon, FileOp } from '../native/types.ts';
import { newId } from '../store/ids.ts';
import type { Logger } from './context.ts';

/** The pause after something could not be deleted, ms. */
const RETRY_MS = 60_000;

/**
 * Where writable layers and pods' directories go that are removed, below `root`: a rename takes some
 * microseconds, a deletion as long as there are files and directories. They are deleted one after
 * another while nobody waits; what a crash leaves, the next start deletes.
 */
export class Trash {
  readonly #dir: string;
  readonly #addon: Pick<Addon, 'runFileOps'>;
  readonly #log: Logger;
  #emptying: Promise<void> | undefined;
  /** Something came in since its names were read. */
  #more = false;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  private constructor(root: string, addon: Pick<Addon, 'runFileOps'>, log: Logger) {
    this.#dir = join(root, 'trash');
    this.#addon = addon;
    this.#log = log;
  }

  static async open(root: string, addon: Pick<Addon, 'runFileOps'>, log: Logger): Promise<Trash> {
    const trash = new Trash(root, addon, log);
    await mkdir(trash.#dir, { recursive: true, mode: 0o700 });
    trash.empty();
    return trash;
  }

  /** Moves a path in here. To be followed by `empty`. */
  discard(path: string): FileOp {
    return { op: 'discard', path, to: join(this.#dir, newId()) };
  }

  /** Has all that is in here deleted some time. */
  empty(): void {
    this.#more = true;
    this.#emptying ??= this.#empty().finally(() => {
      this.#emptying = undefined;
    });
  }

  /** Begins nothing more; resolves when the deletion that is under way is over. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    await this.#emptying;
  }

  async #empty(): Promise<void> {
    while (this.#more && !this.#closed) {
      this.#more = false;
      for (const name of await readdir(this.#dir).catch(() => [])) {
        if (this.#closed) return;
        await this.#delete(join(this.#dir, name));
      }
    }
  }

  async #delete(path: string): Promise<void> {
    try {
      await this.#addon.runFileOps([{ op: 'removeTree', path }]);
    } catch (err) {
      this.#log.warn({ path, err }, 'what was removed could not be deleted yet');
      this.#retry ??= setTimeout(() => {
        this.#retry = undefined;
        this.empty();
      }, RETRY_MS).unref();
    }
  }
}
