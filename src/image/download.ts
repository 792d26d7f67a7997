import type { CoracleError } from '../errors.ts';
import { type ContentStore, checkBlob } from './content-store.ts';
import type { Digest } from './digest.ts';
import type { Descriptor } from './manifest.ts';
import { type PartialBlob, TooLargeError } from './partial-blob.ts';
import { retry } from './retry.ts';

/** Where blobs come from; `Repository` is one. */
export interface BlobSource {
  /** A blob's bytes, unchecked, from `offset` on, or from 0 where the source can't begin there. */
  blob(
    digest: Digest,
    offset: number,
    signal: AbortSignal,
  ): Promise<{ offset: number; chunks: AsyncIterable<Buffer> }>;
}

export interface DownloadOptions {
  /** For messages. */
  what: string;
  signal: AbortSignal;
  /** Told how many bytes are here, whenever that changes. */
  onHere(bytes: number): void;
  /** Told how many bytes have come over the network. */
  onReceived(bytes: number): void;
}

/**
 * Brings a blob into the content store. It goes on where an earlier try, pull or process was cut
 * off, and leaves what has come for the next one if it is cut off itself. A blob that was put
 * together from several answers and is not what its digest says is fetched once more as a whole;
 * then, or if it came in one piece, that is DataLoss.
 */
export async function download(
  content: ContentStore,
  source: BlobSource,
  blob: Descriptor,
  options: DownloadOptions,
): Promise<void> {
  const partial = await content.resume(blob.digest, options.signal);
  let wrong = false;
  try {
    for (let again = false; ; again = true) {
      const { pieces, error } = await bring(partial, source, blob, options);
      wrong = error !== undefined;
      if (!wrong) break;
      if (again || pieces === 1) throw error;
      await partial.restart();
    }
    await content.commit(partial, blob.digest);
  } catch (error) {
    // The first error counts; what cannot be put away now is met by the next pull or open.
    await (wrong ? content.discard(partial) : content.suspend(partial)).catch(() => undefined);
    throw error;
  }
}

/** Fills the partial; tells from how many answers, and what is wrong with their bytes. */
async function bring(
  partial: PartialBlob,
  source: BlobSource,
  blob: Descriptor,
  options: DownloadOptions,
): Promise<{ pieces: number; error?: CoracleError }> {
  const { what, signal, onHere, onReceived } = options;
  const { digest, size } = blob;
  let pieces = partial.offset > 0 ? 1 : 0;
  let highest = partial.offset;
  let asked = highest;
  onHere(partial.offset);
  const attempt = async (): Promise<void> => {
    if (partial.offset >= size && pieces > 0) {
      // All that there is came from others, or before the connection broke.
      pieces += 1;
      return;
    }
    const stream = await source.blob(digest, partial.offset, signal);
    if (stream.offset !== partial.offset) {
      await partial.restart();
      pieces = 0;
    }
    pieces += 1;
    let here = partial.offset;
    onHere(here);
    await partial.append(stream.chunks, {
      limit: size,
      what,
      signal,
      onBytes: (count) => {
        here += count;
        highest = Math.max(highest, here);
        onHere(here);
        onReceived(count);
      },
    });
  };
  // A registry that always breaks at the same place makes no progress.
  const progressed = () => {
    const moved = highest > asked;
    asked = highest;
    return moved;
  };
  try {
    await retry(signal, attempt, { progressed });
  } catch (error) {
    if (error instanceof TooLargeError) return { pieces, error };
    throw error;
  }
  const error = checkBlob({ digest, size, what }, partial.digest(), partial.offset);
  return error ? { pieces, error } : { pieces };
}
