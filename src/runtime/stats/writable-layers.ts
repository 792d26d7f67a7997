import type { StatsAddon, TreeUsage } from '../../native/stats-types.ts';
import { SerialQueue } from '../../store/serial-queue.ts';

/** A measure is good for at least so long, ms. */
const MIN_AGE_MS = 10_000;
/** And for so many times what it took: walking one takes no more than a twentieth of a core. */
const AGE_FACTOR = 20;
/** What could not be measured is tried again after so long, ms. */
const RETRY_MS = 1_000;
/** What has never been measured is waited for so long, ms. */
const PATIENCE_MS = 1_000;

/** What a writable layer took of the disk at a time. */
export interface LayerUsage extends TreeUsage {
  /** Unix time in ns. */
  timestamp: bigint;
}

interface Entry {
  usage?: LayerUsage;
  /** performance.now() from which on it is measured anew. */
  staleAt: number;
  /** The measure in flight; never rejects. */
  measuring?: Promise<void>;
  /** It was measured after its container had ended, so it stays as it is. */
  final: boolean;
}

/** Whose layer it is and where. */
export interface LayerTarget {
  id: string;
  /** The directory. */
  path: string;
  /** Nobody writes to it any more. */
  ended: boolean;
}

/**
 * What the writable layers of containers take of the disk. File systems do not count that, so the
 * trees are walked, one after another on a thread of least priority, and only for those who ask:
 * an answer is what was found last, and sets off the next walk when that is too old.
 */
export class WritableLayers {
  readonly #addon: Pick<StatsAddon, 'measureTree'>;
  readonly #entries = new Map<string, Entry>();
  readonly #queue = new SerialQueue();
  readonly #closing = new AbortController();

  constructor(addon: Pick<StatsAddon, 'measureTree'>) {
    this.#addon = addon;
  }

  /**
   * In the order of the targets; undefined for what could not be measured, or not yet: what is
   * asked for the first time is waited for up to one second, all targets together.
   */
  async usage(targets: readonly LayerTarget[]): Promise<(LayerUsage | undefined)[]> {
    const first: Promise<void>[] = [];
    for (const target of targets) {
      const { measuring, usage } = this.#refresh(target);
      if (usage === undefined && measuring !== undefined) first.push(measuring);
    }
    if (first.length > 0) await patience(Promise.all(first));
    return targets.map(({ id }) => this.#entries.get(id)?.usage);
  }

  /** Forgets all but these; to be called now and then. */
  retain(exists: (id: string) => boolean): void {
    for (const id of this.#entries.keys()) if (!exists(id)) this.#entries.delete(id);
  }

  /** Breaks off the walk under way and begins no other. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#queue.drained();
  }

  #refresh(target: LayerTarget): Entry {
    const entry = this.#entries.get(target.id) ?? { staleAt: 0, final: false };
    this.#entries.set(target.id, entry);
    if (entry.measuring || entry.final || performance.now() < entry.staleAt) return entry;
    entry.measuring = this.#queue.run(() => this.#measure(target, entry));
    return entry;
  }

  async #measure({ path, ended }: LayerTarget, entry: Entry): Promise<void> {
    const { signal } = this.#closing;
    if (signal.aborted) return;
    const began = performance.now();
    let age = MIN_AGE_MS;
    try {
      const usage = await this.#addon.measureTree({ path }, signal);
      entry.usage = { ...usage, timestamp: BigInt(Date.now()) * 1_000_000n };
      entry.final = ended;
    } catch {
      // There is no layer (yet), or it can't be read: what was known before is no longer true.
      delete entry.usage;
      age = RETRY_MS;
    } finally {
      const took = performance.now() - began;
      entry.staleAt = performance.now() + Math.max(age, took * AGE_FACTOR);
      delete entry.measuring;
    }
  }
}

async function patience(work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const enough = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, PATIENCE_MS);
  });
  await Promise.race([work, enough]);
  clearTimeout(timer);
}
