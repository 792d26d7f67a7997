import type { PullProgress } from '../image/progress.ts';
import type { ProgressView } from './progress-lines.ts';
import { Speed } from './speed.ts';

/** Shows a pull. */
export interface PullDisplay {
  update(progress: PullProgress): void;
  /** What is shown stays; the cursor is the terminal's own again. */
  close(): void;
}

/** Where it shows: standard error, so that standard output has the result alone. */
export type DisplayStream = Pick<NodeJS.WriteStream, 'write' | 'isTTY' | 'columns' | 'rows'>;

/** Turns snapshots into what is shown of them: with speeds and the time that has gone by. */
export class Tracker {
  readonly #begin = performance.now();
  readonly #total = new Speed();
  readonly #layers: Speed[] = [];
  #progress: PullProgress | undefined;

  update(progress: PullProgress): void {
    const now = performance.now();
    this.#progress = progress;
    this.#total.add(now, progress.bytesDone);
    progress.layers.forEach((layer, at) => {
      this.#layers[at] ??= new Speed();
      this.#layers[at].add(now, layer.fetched);
    });
  }

  /** Undefined until there is progress. */
  view(): ProgressView | undefined {
    if (!this.#progress) return undefined;
    const now = performance.now();
    return {
      progress: this.#progress,
      elapsedMs: now - this.#begin,
      speed: this.#total.at(now),
      layerSpeeds: this.#layers.map((layer) => layer.at(now)),
    };
  }
}
