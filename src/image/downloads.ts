import { CoracleError } from '../errors.ts';
import type { ContentStore } from './content-store.ts';
import type { Digest } from './digest.ts';
import { type BlobSource, download } from './download.ts';
import { Gate } from './gate.ts';
import { InFlight } from './in-flight.ts';
import type { Descriptor } from './manifest.ts';
import type { PullMetrics } from './metrics.ts';
import { retry } from './retry.ts';

/** At once, for all pulls together. Each pull has its own, lower limit. */
const MAX_DOWNLOADS = 16;

/** A blob that a pull wants, and how it would get it. */
export interface Wanted {
  readonly blob: Descriptor;
  readonly source: BlobSource;
  readonly registry: string;
  /** Equal for pulls that show the same credentials to the same registry. */
  readonly access: string;
  /** For messages. */
  readonly what: string;
  /** Told how many bytes are here, whenever that changes. */
  onHere(bytes: number): void;
}

/** One download that is under way. */
interface Underway {
  readonly wanted: Wanted;
  here: number;
  readonly listeners: Set<(bytes: number) => void>;
}

/**
 * Brings blobs from registries; one that several pulls want at once comes once. A pull with other
 * credentials joins only after the registry has shown that these open the blob, too; and what goes
 * wrong for one pull is not taken for another's fate if that could fare better by itself.
 */
export class Downloads {
  readonly #content: ContentStore;
  readonly #metrics: PullMetrics;
  readonly #gate = new Gate(MAX_DOWNLOADS);
  readonly #inFlight = new InFlight<void>();
  readonly #underway = new Map<Digest, Underway>();

  constructor(content: ContentStore, metrics: PullMetrics) {
    this.#content = content;
    this.#metrics = metrics;
  }

  /** Resolves when the blob is in the content store. The caller holds a lease on it. */
  async get(wanted: Wanted, signal: AbortSignal): Promise<void> {
    const { digest } = wanted.blob;
    let proven = false;
    while (this.#content.size(digest) === undefined) {
      const first = this.#underway.get(digest)?.wanted;
      if (first !== undefined && first.access !== wanted.access && !proven) {
        await prove(wanted, signal);
        proven = true;
        continue;
      }
      let own = false;
      const start = (shared: AbortSignal, before: Promise<void>) => {
        own = true;
        return this.#start(wanted, shared, before);
      };
      // A pull that fails looks at what it leaves: nothing of it may still be at work then.
      const done = this.#inFlight.run(digest, signal, start, { linger: true });
      const underway = this.#underway.get(digest);
      underway?.listeners.add(wanted.onHere);
      if (underway && !own) wanted.onHere(underway.here);
      try {
        await done;
      } catch (error) {
        const other = underway?.wanted;
        if (own || signal.aborted || !other || sharesFate(error, other, wanted)) throw error;
      } finally {
        underway?.listeners.delete(wanted.onHere);
      }
    }
  }

  /** Stops what is under way and resolves when nothing of it is left. */
  drain(reason: Error): Promise<void> {
    return this.#inFlight.drain(reason);
  }

  async #start(wanted: Wanted, signal: AbortSignal, before: Promise<void>): Promise<void> {
    const { blob, source, what } = wanted;
    const underway: Underway = { wanted, here: 0, listeners: new Set() };
    this.#underway.set(blob.digest, underway);
    try {
      await before;
      await this.#gate.run(signal, () =>
        download(this.#content, source, blob, {
          what,
          signal,
          onHere: (bytes) => {
            underway.here = bytes;
            for (const listener of underway.listeners) listener(bytes);
          },
          onReceived: (bytes) => this.#metrics.received(bytes),
        }),
      );
    } finally {
      if (this.#underway.get(blob.digest) === underway) this.#underway.delete(blob.digest);
    }
  }
}

/** Begins to read the blob with the caller's own credentials: throws what the registry says. */
function prove({ source, blob }: Wanted, signal: AbortSignal): Promise<void> {
  return retry(signal, async () => {
    const enough = new AbortController();
    const either = AbortSignal.any([signal, enough.signal]);
    const { chunks } = await source.blob(blob.digest, 0, either);
    // Ends the answer: an iterator that is left early closes its stream.
    for await (const _ of chunks) break;
    enough.abort();
  });
}

/** Whether what failed for `first` would fail for `mine` as well. */
function sharesFate(error: unknown, first: Wanted, mine: Wanted): boolean {
  if (!(error instanceof CoracleError)) return true;
  if (error.kind === 'Unavailable') return first.registry === mine.registry;
  const ofOne = ['NotFound', 'FailedPrecondition', 'DataLoss', 'Unimplemented'];
  return !ofOne.includes(error.kind);
}
