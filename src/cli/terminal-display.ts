import type { PullProgress } from '../image/progress.ts';
import { progressLines } from './progress-lines.ts';
import { type DisplayStream, type PullDisplay, Tracker } from './pull-display.ts';

/** Fast enough to look alive, slow enough for a terminal over a slow line. */
const FRAME_MS = 100;

/** ECMA-48 control sequences. */
const HIDE_CURSOR = '\x1b[?25l';
const SHOW_CURSOR = '\x1b[?25h';
const ERASE_LINE = '\x1b[K';
const ERASE_BELOW = '\x1b[J';
const up = (lines: number) => (lines > 0 ? `\x1b[${lines}A` : '');

const DEFAULT_SIZE = { columns: 80, rows: 24 };

/** Lines of a terminal that are written over again and again. */
export class TerminalDisplay implements PullDisplay {
  readonly #stream: DisplayStream;
  readonly #tracker = new Tracker();
  readonly #timer: NodeJS.Timeout;
  /** Widths of the lines that are on the screen. */
  #drawn: number[] = [];
  #closed = false;

  constructor(stream: DisplayStream) {
    this.#stream = stream;
    // Also between two reports: the time goes on, and a stall shows as falling speed.
    this.#timer = setInterval(() => this.#draw(), FRAME_MS);
    process.once('exit', this.#restore);
    stream.write(HIDE_CURSOR);
  }

  update(progress: PullProgress): void {
    this.#tracker.update(progress);
  }

  close(): void {
    if (this.#closed) return;
    clearInterval(this.#timer);
    this.#draw();
    this.#restore();
    process.off('exit', this.#restore);
  }

  readonly #restore = () => {
    if (this.#closed) return;
    this.#closed = true;
    this.#stream.write(SHOW_CURSOR);
  };

  #draw(): void {
    const view = this.#tracker.view();
    if (!view) return;
    const size = {
      columns: this.#stream.columns || DEFAULT_SIZE.columns,
      rows: this.#stream.rows || DEFAULT_SIZE.rows,
    };
    // A terminal that has become narrower since has wrapped the lines that are on it.
    const before = this.#drawn.reduce(
      (sum, width) => sum + Math.max(Math.ceil(width / size.columns), 1),
      0,
    );
    const lines = progressLines(view, size);
    const text = lines.map((line) => `${line}${ERASE_LINE}\n`).join('');
    this.#stream.write(`\r${up(Math.min(before, size.rows - 1))}${text}${ERASE_BELOW}`);
    this.#drawn = lines.map((line) => line.length);
  }
}
