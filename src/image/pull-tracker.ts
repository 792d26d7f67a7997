import type { Digest } from './digest.ts';
import type { Manifest } from './manifest.ts';
import type { LayerProgress, PullProgress } from './progress.ts';

/** Between two reports, ms: no eye needs more, and a fast registry brings thousands of chunks. */
const INTERVAL = 50;

interface BlobState {
  readonly size: number;
  here: number;
  state: 'waiting' | 'fetching' | 'fetched';
  /** It was here before. */
  known: boolean;
}

type LayerState = 'blob' | 'unpacking' | 'done' | 'known';

/**
 * What one pull reports to all who wait for it. Reports are at least 50 ms apart; the last one
 * always comes, before the pull settles.
 */
export class PullTracker {
  readonly #listeners = new Set<(progress: PullProgress) => void>();
  #blobs = new Map<Digest, BlobState>();
  #layers: { digest: Digest; state: LayerState }[] = [];
  #timer: NodeJS.Timeout | undefined;
  #changed = false;
  #started = false;

  /** Calls back with what is known now, and with every report from now on, until called off. */
  listen(listener: (progress: PullProgress) => void): () => void {
    this.#listeners.add(listener);
    if (this.#started) listener(this.#snapshot());
    return () => this.#listeners.delete(listener);
  }

  /** The manifest is here. */
  begin({ config, layers }: Manifest): void {
    for (const { digest, size } of [config, ...layers]) {
      this.#blobs.set(digest, { size, here: 0, state: 'waiting', known: false });
    }
    this.#layers = layers.map(({ digest }) => ({ digest, state: 'blob' }));
    this.#started = true;
    this.#change();
  }

  fetching(digest: Digest, here: number): void {
    const blob = this.#blobs.get(digest);
    if (blob === undefined || blob.state === 'fetched') return;
    blob.state = 'fetching';
    blob.here = here;
    this.#change();
  }

  fetched(digest: Digest, known: boolean): void {
    const blob = this.#blobs.get(digest);
    if (blob === undefined) return;
    blob.state = 'fetched';
    blob.here = blob.size;
    blob.known = known;
    this.#change();
  }

  /** A layer's tree, by its place in the manifest: is made, has been made, or was there. */
  layer(index: number, state: 'unpacking' | 'done' | 'known'): void {
    const layer = this.#layers[index];
    if (layer === undefined) return;
    layer.state = state;
    this.#change();
  }

  /** Makes the last report. */
  end(): void {
    clearTimeout(this.#timer);
    if (this.#changed) this.#report();
    clearTimeout(this.#timer);
    this.#listeners.clear();
  }

  #change(): void {
    this.#changed = true;
    if (this.#timer === undefined) this.#report();
  }

  #report(): void {
    this.#changed = false;
    const snapshot = this.#snapshot();
    for (const listener of this.#listeners) listener(snapshot);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#changed) this.#report();
    }, INTERVAL).unref();
  }

  #snapshot(): PullProgress {
    const blobs = [...this.#blobs.values()];
    return {
      blobs: blobs.length,
      blobsDone: blobs.filter((blob) => blob.state === 'fetched').length,
      bytes: blobs.reduce((sum, blob) => sum + blob.size, 0),
      bytesDone: blobs.reduce((sum, blob) => sum + blob.here, 0),
      layers: this.#layers.map((layer) => this.#layer(layer)),
    };
  }

  #layer({ digest, state }: { digest: Digest; state: LayerState }): LayerProgress {
    const blob = this.#blobs.get(digest) as BlobState;
    const { size, here } = blob;
    return { digest, size, fetched: here, state: layerState(blob, state) };
  }
}

function layerState(blob: BlobState, layer: LayerState): LayerProgress['state'] {
  if (layer === 'known') return blob.known ? 'exists' : 'done';
  return layer === 'blob' ? blob.state : layer;
}
