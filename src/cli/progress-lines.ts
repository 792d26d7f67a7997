/** A pull's progress as lines of text: pure, so that it can be tested. */
import type { LayerProgress, PullProgress } from '../image/progress.ts';
import { bytes } from './table.ts';

export interface ProgressView {
  readonly progress: PullProgress;
  /** Since the pull began. */
  readonly elapsedMs: number;
  /** Bytes per second of the whole pull. */
  readonly speed: number;
  /** Bytes per second of one layer, by its place in `progress.layers`. */
  readonly layerSpeeds: readonly number[];
}

/** Columns and rows of a terminal. */
export interface Size {
  readonly columns: number;
  readonly rows: number;
}

const STATES: Readonly<Record<LayerProgress['state'], string>> = {
  waiting: 'waiting',
  fetching: 'fetching',
  fetched: 'fetched',
  unpacking: 'unpacking',
  done: 'done',
  exists: 'is here',
};

const STATE_WIDTH = 9;
/** "999.9 MB / 999.9 MB" */
const BYTES_WIDTH = 19;
/** "999.9 MB/s" */
const SPEED_WIDTH = 10;
const MAX_BAR = 30;
const MIN_BAR = 6;

/** "3f4db1e2a9c0" */
export function shortDigest(digest: string): string {
  return digest.replace(/^sha256:/, '').slice(0, 12);
}

/**
 * The lines for a terminal of this size: one for each layer, then the totals. None is as wide as
 * the terminal, which would wrap it, and there are fewer than its rows, which would scroll.
 */
export function progressLines(view: ProgressView, size: Size): string[] {
  const width = Math.max(size.columns - 1, 1);
  const { layers } = view.progress;
  const shown = choose(layers, Math.max(size.rows - 3, 1));
  const lines = shown.map((at) => layerLine(layers[at], view.layerSpeeds[at] ?? 0, width));
  const hidden = layers.length - shown.length;
  if (hidden > 0) lines.push(`… ${hidden} more ${hidden === 1 ? 'layer' : 'layers'}`);
  lines.push(totalLine(view));
  return lines.map((line) => line.slice(0, width).trimEnd());
}

/** How far the whole pull is, in one line. */
export function totalLine({ progress, elapsedMs, speed }: ProgressView): string {
  const { layers } = progress;
  const done = layers.filter(isDone).length;
  const parts = [
    `${done} of ${layers.length} layers`,
    `${bytes(progress.bytesDone)} of ${bytes(progress.bytes)}`,
    ...(speed > 0 ? [`${bytes(Math.round(speed))}/s`] : []),
    seconds(elapsedMs),
  ];
  return parts.join(', ');
}

export function isDone({ state }: LayerProgress): boolean {
  return state === 'done' || state === 'exists';
}

/** "12 s", "3 min 7 s" */
export function seconds(ms: number): string {
  const whole = Math.round(ms / 1000);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/** Places of at most `most` layers in their order: those at work first, done ones last. */
function choose(layers: readonly LayerProgress[], most: number): number[] {
  const urgency = (layer: LayerProgress) => (isDone(layer) ? 2 : layer.state === 'waiting' ? 1 : 0);
  return layers
    .map((layer, at) => ({ at, urgency: urgency(layer) }))
    .sort((a, b) => a.urgency - b.urgency || a.at - b.at)
    .slice(0, most)
    .map(({ at }) => at)
    .sort((a, b) => a - b);
}

function layerLine(layer: LayerProgress | undefined, speed: number, width: number): string {
  if (!layer) return '';
  const head = `${shortDigest(layer.digest)}  ${STATES[layer.state].padEnd(STATE_WIDTH)}`;
  if (layer.state === 'waiting' || isDone(layer)) return `${head}  ${bytes(layer.size)}`;
  const count = `${bytes(layer.fetched)} / ${bytes(layer.size)}`;
  if (layer.state !== 'fetching') return `${head}  ${count}`;
  const room = width - head.length - BYTES_WIDTH - SPEED_WIDTH - 6;
  const parts = [head];
  if (room >= MIN_BAR) parts.push(bar(layer, Math.min(room, MAX_BAR)));
  parts.push(count.padEnd(BYTES_WIDTH));
  if (speed > 0) parts.push(`${bytes(Math.round(speed))}/s`);
  return parts.join('  ');
}

/** "[=====>    ]", `width` columns with its brackets. */
function bar({ fetched, size }: LayerProgress, width: number): string {
  const inside = width - 2;
  const part = size > 0 ? Math.min(fetched / size, 1) : 1;
  const filled = Math.floor(part * inside);
  const line = filled < inside ? `${'='.repeat(filled)}>` : '='.repeat(inside);
  return `[${line.padEnd(inside)}]`;
}
