import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { PlainDisplay } from '../../src/cli/plain-display.ts';
import { progressLines, seconds } from '../../src/cli/progress-lines.ts';
import { showPull } from '../../src/cli/show-pull.ts';
import { Speed } from '../../src/cli/speed.ts';
import { TerminalDisplay } from '../../src/cli/terminal-display.ts';
import type { LayerProgress, PullProgress } from '../../src/image/progress.ts';

const MB = 1_000_000;

function layer(digit: string, state: LayerProgress['state'], fetched = 0, size = 20 * MB) {
  return { digest: `sha256:${digit.repeat(64)}`, state, size, fetched } as const;
}

function progress(...layers: LayerProgress[]): PullProgress {
  const done = layers.filter(({ state }) => state === 'done' || state === 'exists').length;
  return {
    blobs: layers.length + 1,
    blobsDone: done + 1,
    bytes: layers.reduce((sum, { size }) => sum + size, 0),
    bytesDone: layers.reduce((sum, { fetched }) => sum + fetched, 0),
    layers,
  };
}

const LAYERS = [
  layer('a', 'exists', 20 * MB),
  layer('b', 'done', 20 * MB),
  layer('c', 'unpacking', 20 * MB),
  layer('d', 'fetching', 5 * MB),
  layer('e', 'waiting'),
];

const view = {
  progress: progress(...LAYERS),
  elapsedMs: 61_400,
  speed: 2.5 * MB,
  layerSpeeds: [0, 0, 0, 2.5 * MB, 0],
};

/** What a terminal of a fixed size would show: enough of ECMA-48 for the display's sequences. */
class Screen {
  readonly isTTY = true;
  columns: number;
  rows: number;
  lines: string[] = [''];
  cursorShown = true;
  #row = 0;
  #column = 0;

  constructor(columns: number, rows: number) {
    this.columns = columns;
    this.rows = rows;
  }

  write = (text: string): boolean => {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are the subject
    for (const [token] of text.matchAll(/\x1b\[\??\d*[A-Za-z]|\n|\r|[^\x1b\n\r]/g))
      this.#take(token);
    return true;
  };

  #take(token: string): void {
    const count = Number(/\d+/.exec(token)?.[0] ?? 1);
    if (token === '\r') this.#column = 0;
    else if (token === '\n') {
      this.#row += 1;
      this.#column = 0;
      this.lines[this.#row] ??= '';
    } else if (token.endsWith('A') && token.length > 1) this.#row = Math.max(this.#row - count, 0);
    else if (token === '\x1b[K') this.#cut();
    else if (token === '\x1b[J') {
      this.#cut();
      this.lines.length = this.#row + 1;
    } else if (token === '\x1b[?25l') this.cursorShown = false;
    else if (token === '\x1b[?25h') this.cursorShown = true;
    else this.#put(token);
  }

  #cut(): void {
    this.lines[this.#row] = (this.lines[this.#row] ?? '').slice(0, this.#column);
  }

  #put(character: string): void {
    const line = (this.lines[this.#row] ?? '').padEnd(this.#column);
    this.lines[this.#row] = line.slice(0, this.#column) + character + line.slice(this.#column + 1);
    this.#column += 1;
    assert.ok(this.#column < this.columns, `a line reaches the edge: ${this.lines[this.#row]}`);
  }
}

describe('the lines of a pull', () => {
  it('show each layer with what there is to say about it, and the totals', () => {
    assert.deepEqual(progressLines(view, { columns: 100, rows: 24 }), [
      'aaaaaaaaaaaa  is here    20.0 MB',
      'bbbbbbbbbbbb  done       20.0 MB',
      'cccccccccccc  unpacking  20.0 MB / 20.0 MB',
      'dddddddddddd  fetching   [=======>                    ]  5.0 MB / 20.0 MB     2.5 MB/s',
      'eeeeeeeeeeee  waiting    20.0 MB',
      '2 of 5 layers, 65.0 MB of 100.0 MB, 2.5 MB/s, 1 min 1 s',
    ]);
  });

  it('lose the bar, then their ends, where a terminal is narrow', () => {
    const at = (columns: number) => progressLines(view, { columns, rows: 24 })[3];
    assert.equal(at(70), 'dddddddddddd  fetching   [==>      ]  5.0 MB / 20.0 MB     2.5 MB/s');
    assert.equal(at(60), 'dddddddddddd  fetching   5.0 MB / 20.0 MB     2.5 MB/s');
    assert.equal(at(40), 'dddddddddddd  fetching   5.0 MB / 20.0');
    for (let columns = 1; columns < 120; columns += 1) {
      const lines = progressLines(view, { columns, rows: 24 });
      assert.ok(
        lines.every((line) => line.length < Math.max(columns, 2)),
        `${columns} columns`,
      );
    }
  });

  it('leave done layers out first, then waiting ones, where a terminal is low', () => {
    const shown = (rows: number) => progressLines(view, { columns: 80, rows }).map((l) => l[0]);
    assert.deepEqual(shown(8), ['a', 'b', 'c', 'd', 'e', '2']);
    assert.deepEqual(shown(7), ['a', 'c', 'd', 'e', '…', '2']);
    assert.deepEqual(shown(5), ['c', 'd', '…', '2']);
    assert.deepEqual(shown(1), ['c', '…', '2']);
  });

  it('fill the bar at the end alone, and hold no surprise for an empty layer', () => {
    const [almost, full, empty] = progressLines(
      {
        ...view,
        progress: progress(
          layer('a', 'fetching', 20 * MB - 1),
          layer('b', 'fetching', 20 * MB),
          layer('c', 'fetching', 0, 0),
        ),
      },
      { columns: 100, rows: 24 },
    );
    assert.match(almost ?? '', /\[={27}>\]/);
    assert.match(full ?? '', /\[={28}\]/);
    assert.match(empty ?? '', /\[={28}\] {2}0 B \/ 0 B/);
  });

  it('tell time as people do', () => {
    assert.deepEqual([400, 59_400, 60_000, 187_000].map(seconds), [
      '0 s',
      '59 s',
      '1 min 0 s',
      '3 min 7 s',
    ]);
  });
});

describe('a speed', () => {
  it('is that of the last seconds, falls when nothing comes, and survives a retry', () => {
    const speed = new Speed();
    assert.equal(speed.at(0), 0);
    speed.add(0, 0);
    assert.equal(speed.at(0), 0);
    for (let at = 100; at <= 10_000; at += 100) speed.add(at, at < 5000 ? 0 : (at - 5000) * 1000);
    assert.equal(speed.at(10_000), 1_000_000);
    assert.equal(speed.at(13_000), 500_000);
    speed.add(13_000, 10);
    speed.add(14_000, 1010);
    assert.equal(speed.at(14_000), 1000);
  });
});

describe('a pull on a terminal', () => {
  it('is drawn in place, ends as it is, and gives the cursor back', async () => {
    const screen = new Screen(80, 24);
    screen.write('$ coracle pull x\n');
    const display = showPull(screen, { TERM: 'xterm' });
    assert.ok(display instanceof TerminalDisplay);
    assert.equal(screen.cursorShown, false);
    display.update(progress(layer('a', 'fetching', 1 * MB), layer('b', 'waiting')));
    await sleep(150);
    assert.match(screen.lines[1] ?? '', /^a{12} {2}fetching .*1\.0 MB \/ 20\.0 MB/);
    display.update(progress(layer('a', 'done', 20 * MB), layer('b', 'done', 20 * MB)));
    display.close();
    display.close();
    assert.equal(screen.cursorShown, true);
    assert.deepEqual(screen.lines.slice(0, 3), [
      '$ coracle pull x',
      'aaaaaaaaaaaa  done       20.0 MB',
      'bbbbbbbbbbbb  done       20.0 MB',
    ]);
    assert.match(screen.lines[3] ?? '', /^2 of 2 layers, 40\.0 MB of 40\.0 MB/);
    assert.deepEqual(screen.lines.slice(4), ['']);
  });

  it('shows nothing but the cursor for a pull without progress', () => {
    const screen = new Screen(80, 24);
    showPull(screen, {}).close();
    assert.deepEqual([screen.lines, screen.cursorShown], [[''], true]);
  });
});

describe('a pull without a terminal', () => {
  it('is a line for each layer that is done, once, and a last one', () => {
    for (const env of [{ TERM: 'dumb' }, {}]) {
      const written: string[] = [];
      const write = (text: string) => written.push(text) > 0;
      const isTTY = env.TERM === 'dumb';
      const display = showPull({ write, isTTY, columns: 80, rows: 24 }, env);
      assert.ok(display instanceof PlainDisplay);
      display.update(progress(layer('a', 'exists', 20 * MB), layer('b', 'fetching', 1 * MB)));
      display.update(progress(layer('a', 'exists', 20 * MB), layer('b', 'unpacking', 20 * MB)));
      display.update(progress(layer('a', 'exists', 20 * MB), layer('b', 'done', 20 * MB)));
      display.close();
      assert.deepEqual(written, [
        'aaaaaaaaaaaa: is here, 20.0 MB\n',
        'bbbbbbbbbbbb: done, 20.0 MB\n',
        '40.0 MB in 0 s\n',
      ]);
    }
  });

  it('ends without a summary where it was not whole', () => {
    const written: string[] = [];
    const write = (text: string) => written.push(text) > 0;
    const display = showPull({ write, isTTY: false, columns: 80, rows: 24 }, {});
    display.update(progress(layer('a', 'fetching', 1 * MB)));
    display.close();
    assert.deepEqual(written, []);
  });
});
