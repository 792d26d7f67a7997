import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CoracleError, messageOf } from '../errors.ts';
import type { Backend, Change } from './backend.ts';
import { syncPath } from './engine.ts';
import { JournalFile } from './journal-file.ts';
import type { Frame } from './journal-frame.ts';
import { Patience } from './patience.ts';
import { seal, unseal } from './seal.ts';
import type { StoreProblem } from './store.ts';

/** The engine's key for the sequence number of the last commit that it holds. */
const APPLIED = '\u0001journal';
/** How long commits may gather before they go to the engine, ms. */
const GATHER = 20;
/** Bytes of frames that go to the engine without waiting for more: the file is not to grow. */
const CROWDED = 32 * 1024;
/** The longest pause between attempts to bring changes to an engine that fails, ms. */
const LAST_RETRY = 30_000;

interface Pending {
  readonly sequence: number;
  readonly value: Buffer | undefined;
}

/**
 * Splits the two levels of durability. A commit is one write(2) to a file, which the kernel has
 * from then on, whatever becomes of this process. `flushed` is one fdatasync(2) of that file, shared
 * by all who ask at the same time. The engine below follows in batches.
 *
 * A write is done at once, which is quicker than to have a thread do it, as long as the disk answers.
 * Once a sync takes long, a thread does it: a write to a disk that hangs may hang, too, and must not
 * hold up whoever reads.
 *
 * Two files take turns: while the engine takes what one holds, new commits go to the other, so that
 * neither grows without end. After a loss of power the engine is intact at some commit, and what
 * the files hold beyond it is taken as far as it is whole and without gaps. A gap among commits that
 * were durable is no loss of power but damage: what comes after it is taken, and the gap is told.
 */
export class Journal implements Backend {
  /** What of the files could not be read. */
  readonly problems: StoreProblem[] = [];
  readonly #engine: Backend;
  #current: JournalFile;
  #other: JournalFile;
  /** What the engine has yet to take, by key. */
  readonly #pending = new Map<string, Pending>();
  #sequence: number;
  #applied: number;
  /** Survives loss of power: in the engine, or in a file that was synced. */
  #durable: number;
  #syncing: Promise<void> | undefined;
  #draining: Promise<void> | undefined;
  readonly #patience = new Patience();
  /** Commits that wait for a disk which does not answer, and the last of them. */
  #aside = 0;
  #lastAside: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /**
   * The files `journal.0` and `journal.1` of `directory`. An engine that is `incomplete` may have
   * lost commits that it once had: then whatever the files have is better than nothing. Throws what
   * open(2), read(2), write(2) do, but for a file that its disk has lost.
   */
  constructor(directory: string, engine: Backend, incomplete = false) {
    this.#engine = engine;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const files = openFiles(directory);
    [this.#current, this.#other] = files;
    try {
      // The names of new files and directories are durable, too (SS-10).
      const root = dirname(directory);
      for (const path of [directory, root, dirname(root)]) syncPath(path);
      this.#applied = this.#readApplied();
      this.#sequence = this.#applied;
      const unreadable = files.filter((file) => file.unreadable !== undefined);
      for (const file of unreadable) this.#lost(file, messageOf(file.unreadable));
      this.#replay(incomplete || unreadable.length > 0);
    } catch (error) {
      for (const file of files) file.close();
      throw error;
    }
    // What was kept has been synced.
    this.#durable = this.#sequence;
  }

  *load(prefix: string): Iterable<[string, Buffer]> {
    for (const [key, value] of this.#engine.load(prefix)) {
      // A value whose seal is broken is left for whoever decodes it to find out.
      if (!this.#pending.has(key)) yield [key, unseal(key, value)?.value ?? value];
    }
    for (const [key, { value }] of this.#pending) {
      if (value !== undefined && key.startsWith(prefix)) yield [key, value];
    }
  }

  async commit(changes: readonly Change[]): Promise<void> {
    if (this.#aside > 0 || this.#patience.isOver) await this.#commitAside(changes);
    else {
      const frame = this.#frame(changes);
      this.#current.append(frame);
      this.#accept(frame.sequence, changes);
    }
    if (this.#current.length > CROWDED) this.#drain().catch(() => this.#drainIn(GATHER));
    else this.#drainIn(GATHER);
  }

  async flushed(): Promise<void> {
    const wanted = this.#sequence;
    while (this.#durable < wanted) {
      this.#syncing ??= this.#sync().finally(() => {
        this.#syncing = undefined;
      });
      await this.#syncing;
    }
  }

  /** Resolves when the engine has all that was committed, and the files are not needed. */
  async drained(): Promise<void> {
    while (this.#applied < this.#sequence) await this.#drain();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    // What the engine cannot take now stays in the files and is taken at the next start.
    await this.#drain().catch(() => {});
    await this.#engine.close();
    this.#current.close();
    this.#other.close();
  }

  /** In its turn, while the disk does not answer. The files take no turns meanwhile. */
  async #commitAside(changes: readonly Change[]): Promise<void> {
    this.#aside += 1;
    const done = this.#lastAside.then(async () => {
      const frame = this.#frame(changes);
      await this.#current.appendAside(frame);
      this.#accept(frame.sequence, changes);
    });
    this.#lastAside = done
      .catch(() => {})
      .finally(() => {
        this.#aside -= 1;
      });
    await done;
  }

  #frame(changes: readonly Change[]): Frame {
    return { sequence: this.#sequence + 1, durable: this.#durable, changes };
  }

  #accept(sequence: number, changes: readonly Change[]): void {
    this.#sequence = sequence;
    for (const { key, value } of changes) this.#pending.set(key, { sequence, value });
  }

  #replay(incomplete: boolean): void {
    const files = [this.#current, this.#other];
    const frames = files
      .flatMap((file) => file.found.map((frame) => ({ file, ...frame })))
      .sort((a, b) => a.sequence - b.sequence);
    const durable = Math.max(...frames.map((frame) => frame.durable), 0);
    for (const { file, sequence, changes } of frames) {
      const next = this.#sequence + 1;
      if (sequence < next) continue;
      if (sequence > next) {
        if (durable < next && !incomplete) break;
        this.#lost(file, `${commits(next, sequence - 1)} damaged or missing`);
      }
      this.#accept(sequence, changes);
      if (file !== this.#current) [this.#current, this.#other] = [file, this.#current];
    }
    if (this.#sequence < durable) {
      this.#lost(this.#current, `${commits(this.#sequence + 1, durable)} damaged or missing`);
    }
    // A number that a lost commit had is not given away again.
    this.#sequence = Math.max(this.#sequence, durable);
    for (const file of files) file.keepUntil(this.#sequence, this.#applied);
    if (this.#pending.size > 0) this.#drainIn(0);
  }

  #lost(file: JournalFile, what: string): void {
    const error = new CoracleError('DataLoss', `${file.path}: ${what}`);
    this.problems.push({ table: '', key: file.path, outcome: 'lost', error });
  }

  /**
   * A sync that failed may have dropped what it was to write, and says so once (fsync(2)): nothing
   * is believed of the files then, and the engine must take it.
   */
  async #sync(): Promise<void> {
    const sequence = this.#sequence;
    try {
      const written = [this.#current, this.#other].filter((file) => !file.empty);
      await this.#patience.with(Promise.all(written.map((file) => file.sync())));
    } catch {
      while (this.#applied < sequence) await this.#drain();
    }
    this.#durable = Math.max(this.#durable, sequence);
  }

  /** Brings all that is pending to the engine, in one commit. */
  #drain(): Promise<void> {
    this.#draining ??= this.#apply().finally(() => {
      this.#draining = undefined;
    });
    return this.#draining;
  }

  async #apply(): Promise<void> {
    while (this.#aside > 0) await this.#lastAside;
    const sequence = this.#sequence;
    if (this.#other.empty) [this.#current, this.#other] = [this.#other, this.#current];
    const changes: Change[] = [...this.#pending].map(([key, pending]) => ({
      key,
      value: pending.value && seal(key, pending.sequence, pending.value),
    }));
    changes.push({ key: APPLIED, value: seal(APPLIED, sequence, Buffer.from(String(sequence))) });
    await this.#patience.with(this.#engine.commit(changes).then(() => this.#engine.flushed()));
    this.#applied = sequence;
    this.#durable = Math.max(this.#durable, sequence);
    for (const [key, pending] of this.#pending) {
      if (pending.sequence <= sequence) this.#pending.delete(key);
    }
    this.#other.rewind();
    if (this.#sequence === sequence && this.#aside === 0) this.#current.rewind();
    else this.#drainIn(GATHER);
  }

  #drainIn(ms: number, retry = GATHER): void {
    if (this.#timer !== undefined || this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#applied === this.#sequence) return;
      this.#drain().catch(() => this.#drainIn(retry, Math.min(retry * 2, LAST_RETRY)));
    }, ms).unref();
  }

  /** An engine that has lost the number still has the commits that its values came with. */
  #readApplied(): number {
    let latest = 0;
    for (const [key, value] of this.#engine.load(APPLIED)) {
      if (key === APPLIED) return Number(unseal(key, value)?.value ?? 0);
    }
    for (const [key, value] of this.#engine.load('')) {
      latest = Math.max(latest, unseal(key, value)?.sequence ?? 0);
    }
    return latest;
  }
}

/** Both, or none. */
function openFiles(directory: string): [JournalFile, JournalFile] {
  const first = new JournalFile(join(directory, 'journal.0'));
  try {
    return [first, new JournalFile(join(directory, 'journal.1'))];
  } catch (error) {
    first.close();
    throw error;
  }
}

function commits(from: number, to: number): string {
  return from === to ? `commit ${from} is` : `commits ${from} to ${to} are`;
}
