import type { LayerProgress, PullProgress } from '../image/progress.ts';
import { isDone, seconds, shortDigest, totalLine } from './progress-lines.ts';
import { type DisplayStream, type PullDisplay, Tracker } from './pull-display.ts';
import { bytes } from './table.ts';

/** Between two lines about a layer that takes long, in ms. */
const INTERVAL_MS = 10_000;

/** A line when a layer is done, and now and then how far the whole is. */
export class PlainDisplay implements PullDisplay {
  readonly #stream: DisplayStream;
  readonly #tracker = new Tracker();
  readonly #told = new Set<number>();
  #lastLine = performance.now();

  constructor(stream: DisplayStream) {
    this.#stream = stream;
  }

  update(progress: PullProgress): void {
    this.#tracker.update(progress);
    progress.layers.forEach((layer, at) => {
      if (!isDone(layer) || this.#told.has(at)) return;
      this.#told.add(at);
      this.#line(doneLine(layer));
    });
    const view = this.#tracker.view();
    if (view && performance.now() - this.#lastLine >= INTERVAL_MS) {
      this.#line(totalLine(view));
    }
  }

  close(): void {
    const view = this.#tracker.view();
    if (!view) return;
    const { layers, blobs, blobsDone, bytesDone } = view.progress;
    const whole = layers.every(isDone) && blobsDone === blobs;
    if (whole) this.#line(`${bytes(bytesDone)} in ${seconds(view.elapsedMs)}`);
  }

  #line(text: string): void {
    this.#stream.write(`${text}\n`);
    this.#lastLine = performance.now();
  }
}

function doneLine(layer: LayerProgress): string {
  const what = layer.state === 'exists' ? 'is here' : 'done';
  return `${shortDigest(layer.digest)}: ${what}, ${bytes(layer.size)}`;
}
