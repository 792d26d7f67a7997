/** Whether a log in the CRI's format holds what an actor (actor.c) wrote: each line once, in order. */
import { createReadStream, existsSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Progress } from './progress.ts';

/** `coracle serve`'s default for `max-log-line`: pieces of a longer line have this size. */
const MAX_LINE = 16 * 1024;
const NEWLINE = 10;
const SPACE = 32;
/** More would say the same. */
const MAX_PROBLEMS = 5;

export interface LogCount {
  lines: number;
  bytes: number;
}

/** Takes a log's bytes in any portions. */
export class LogCheck {
  readonly problems: string[] = [];
  readonly count: LogCount = { lines: 0, bytes: 0 };
  /** By stream: the number that is next, and the pieces of a line that goes on. */
  readonly next: [number, number] = [0, 0];
  readonly #pieces: [Buffer[], Buffer[]] = [[], []];
  #rest: Buffer = Buffer.alloc(0);
  readonly #key: string;

  constructor(key: string) {
    this.#key = key;
  }

  feed(bytes: Buffer): void {
    this.count.bytes += bytes.length;
    const data = this.#rest.length > 0 ? Buffer.concat([this.#rest, bytes]) : bytes;
    let from = 0;
    for (;;) {
      const end = data.indexOf(NEWLINE, from);
      if (end === -1) break;
      this.#record(data, from, end);
      from = end + 1;
    }
    this.#rest = Buffer.from(data.subarray(from));
  }

  /**
   * One file has ended: what was cut off there is not continued in another. `torn`: its monitor may
   * have been killed in the middle of a write(2), which ends where it is then.
   */
  endFile(path: string, torn = false): void {
    if (this.#rest.length > 0 && !torn) this.#problem(`${path} ends within a record`);
    this.#rest = Buffer.alloc(0);
  }

  /**
   * What the actor says that it wrote, now that it has ended. `lossy`: its monitor was killed, and
   * what was in a pipe then is lost. A last line that was cut may be there where the actor was.
   */
  finish(progress: Progress, lossy: boolean): void {
    for (const stream of [0, 1] as const) {
      const has = this.next[stream];
      const [begun, written] = [progress.begun[stream], progress.written[stream]];
      const said = `stream ${stream} has ${has} lines, of ${written} written and ${begun} begun`;
      if (has > begun || (has < written && !lossy)) this.#problem(said);
      const cut = Buffer.concat(this.#pieces[stream]).toString('latin1');
      const line = `${this.#key} ${stream} ${has} `;
      if (cut !== '' && !(cut.startsWith(line) || line.startsWith(cut))) {
        this.#problem(`stream ${stream} ends with ${JSON.stringify(cut.slice(0, 80))}`);
      }
      if (cut !== '' && has === begun) this.#problem(`stream ${stream} has a piece too much`);
      if (cut !== '' && progress.ended !== 0 && !lossy) {
        this.#problem(`the end of the last line of stream ${stream} is missing`);
      }
    }
  }

  #problem(what: string): void {
    if (this.problems.length < MAX_PROBLEMS) this.problems.push(what);
  }

  /** TIME STREAM TAG CONTENT */
  #record(data: Buffer, from: number, end: number): void {
    const afterTime = data.indexOf(SPACE, from);
    const head = data.toString('latin1', afterTime, Math.min(end, afterTime + 10));
    const stream = head.startsWith(' stdout ') ? 0 : head.startsWith(' stderr ') ? 1 : undefined;
    const tag = head[8];
    if (stream === undefined || head[9] !== ' ' || (tag !== 'F' && tag !== 'P')) {
      const text = data.toString('latin1', from, Math.min(end, from + 80));
      this.#problem(`no record of a log: ${JSON.stringify(text)}`);
      return;
    }
    const content = data.subarray(afterTime + 10, end);
    const pieces = this.#pieces[stream];
    if (tag === 'P') {
      pieces.push(Buffer.from(content));
      return;
    }
    for (const piece of pieces) {
      if (piece.length !== MAX_LINE) this.#problem(`a piece of ${piece.length} bytes`);
    }
    this.#line(stream, pieces.length === 0 ? content : Buffer.concat([...pieces, content]));
    this.#pieces[stream] = [];
  }

  /** KEY STREAM NUMBER LENGTH PAYLOAD SUM */
  #line(stream: 0 | 1, line: Buffer): void {
    const head = line.toString('latin1', 0, 80).split(' ', 4);
    const [key, written, number, length] = head;
    const start = head.join(' ').length + 1;
    const size = Number(length);
    const where = `stream ${stream}, after line ${this.next[stream] - 1}`;
    if (key !== this.#key || written !== String(stream)) {
      this.#problem(`${where}: a line of ${key}, stream ${written}`);
      return;
    }
    if (line.length !== start + size + 9) {
      this.#problem(`${where}: line ${number} has ${line.length - start - 9} of ${size}`);
      return;
    }
    if (fnv(line, start, start + size) !== line.toString('latin1', start + size + 1)) {
      this.#problem(`${where}: line ${number} is not as it was written`);
      return;
    }
    if (Number(number) !== this.next[stream]) this.#problem(`${where} comes line ${number}`);
    this.next[stream] = Number(number) + 1;
    this.count.lines += 1;
  }
}

/** FNV-1a, in 8 hex digits. */
function fnv(data: Buffer, from: number, to: number): string {
  let hash = 0x811c9dc5;
  for (let i = from; i < to; i += 1) hash = Math.imul(hash ^ (data[i] as number), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, '0');
}

/** The files of a log that was rotated: PATH.1, PATH.2 …, PATH. */
export function logFiles(path: string): string[] {
  const prefix = `${basename(path)}.`;
  const dir = dirname(path);
  const rotated = (existsSync(dir) ? readdirSync(dir) : [])
    .filter((name) => name.startsWith(prefix))
    .map((name) => Number(name.slice(prefix.length)))
    .sort((a, b) => a - b)
    .map((n) => join(dir, `${prefix}${n}`));
  return existsSync(path) ? [...rotated, path] : rotated;
}

/** Reads a whole log. */
export async function checkLog(
  path: string,
  key: string,
  progress: Progress,
  lossy: boolean,
): Promise<LogCheck> {
  const check = new LogCheck(key);
  const files = logFiles(path);
  for (const file of files) {
    for await (const chunk of createReadStream(file, { highWaterMark: 256 * 1024 })) {
      check.feed(chunk as Buffer);
    }
    check.endFile(file, lossy && file === files.at(-1));
  }
  check.finish(progress, lossy);
  return check;
}
