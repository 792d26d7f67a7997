import type { Readable } from 'node:stream';

/** Longest line that is looked at, bytes: a size takes about 30. */
const MAX_LINE = 1024;

/** How many of the last objects of a piece are looked at: those that are no sizes take the longest. */
const MAX_TRIES = 8;

/**
 * Reads terminal sizes, a stream of JSON objects like {"Width":80,"Height":24} one after another,
 * and sets them. Of sizes that come faster than they can be set the newest counts. What is no size
 * is passed over.
 */
export function followResizes(
  source: Readable,
  resize: (rows: number, cols: number) => Promise<void>,
): void {
  let text = '';
  let newest: [rows: number, cols: number] | undefined;
  let busy = false;
  const apply = async () => {
    if (busy) return;
    busy = true;
    while (newest) {
      const [rows, cols] = newest;
      newest = undefined;
      // A process that ends meanwhile has no size.
      await resize(rows, cols).catch(() => {});
    }
    busy = false;
  };
  source.on('error', () => {});
  source.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
    const end = text.lastIndexOf('}') + 1;
    newest = newestSize(text.slice(0, end)) ?? newest;
    text = text.slice(end);
    if (text.length > MAX_LINE) text = '';
    void apply();
  });
}

/** The last size among objects, whose number is the client's choice. */
function newestSize(objects: string): [rows: number, cols: number] | undefined {
  let before = objects.length;
  for (let tries = 0; tries < MAX_TRIES && before > 0; tries++) {
    const begin = objects.lastIndexOf('{', before - 1);
    if (begin < 0) return undefined;
    const size = parseSize(objects.slice(begin, objects.indexOf('}', begin) + 1));
    if (size) return size;
    before = begin;
  }
  return undefined;
}

/** Sizes of a terminal are 16 bits each (ioctl_tty(2), struct winsize). */
function parseSize(text: string): [rows: number, cols: number] | undefined {
  let size: unknown;
  try {
    size = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { Width: cols, Height: rows } = size as { Width?: unknown; Height?: unknown };
  return isSize(rows) && isSize(cols) ? [rows, cols] : undefined;
}

function isSize(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 0xffff;
}
