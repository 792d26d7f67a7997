/**
 * What a run did, as JSON lines: first its options, then each action when it begins, with what
 * chance chose for it, and when it ends, with its outcome. A replay holds each action back until
 * those that went before it in the trace have begun, and its time has come: the same actions in the
 * same order. What servers, kernel and containers do in between is theirs.
 */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** How much later than its time an action waits for one that never comes, ms. */
const PATIENCE_MS = 3_000;

interface Turn {
  at: number;
  index: number;
}

export class Trace {
  readonly #fd: number;
  readonly #began = performance.now();
  #actions = 0;
  /** Of a replay: when each action came, by who did what. */
  readonly #turns = new Map<string, Turn[]>();
  readonly #begun: boolean[] = [];
  #first = 0;

  constructor(path: string, options: object, replayed?: string) {
    // It may be the same file.
    if (replayed !== undefined) this.#load(replayed);
    this.#fd = openSync(path, 'w');
    this.#write({ options });
  }

  /** The options of a trace's run. */
  static optionsOf(path: string): Record<string, unknown> {
    const [head = ''] = readFileSync(path, 'utf8').split('\n', 1);
    const { options } = JSON.parse(head) as { options?: Record<string, unknown> };
    if (options === undefined) throw new Error(`${path} is no trace`);
    return options;
  }

  /** An action begins; in a replay, when its turn has come. Returns what notes its outcome. */
  async action(
    who: string,
    does: string,
    chosen: object = {},
  ): Promise<(outcome: unknown) => void> {
    await this.#turn(`${who} ${does}`);
    this.#actions += 1;
    const n = this.#actions;
    this.#write({ n, who, does, ...chosen });
    return (outcome) => this.#write({ n, who, did: does, outcome });
  }

  note(what: object): void {
    this.#write(what);
  }

  close(): void {
    closeSync(this.#fd);
  }

  #write(what: object): void {
    const t = Math.round((performance.now() - this.#began) * 10) / 10;
    const text = JSON.stringify({ t, ...what }, (_, value) =>
      typeof value === 'bigint' ? `${value}` : value,
    );
    writeSync(this.#fd, `${text}\n`);
  }

  #load(path: string): void {
    for (const line of readFileSync(path, 'utf8').split('\n').filter(Boolean)) {
      const { t, who, does } = JSON.parse(line) as { t: number; who?: string; does?: string };
      if (does === undefined) continue;
      const key = `${who} ${does}`;
      const turns = this.#turns.get(key) ?? [];
      turns.push({ at: t, index: this.#begun.push(false) - 1 });
      this.#turns.set(key, turns);
    }
  }

  async #turn(key: string): Promise<void> {
    const turn = this.#turns.get(key)?.shift();
    if (turn === undefined) return;
    for (;;) {
      const late = performance.now() - this.#began - turn.at;
      if (late >= 0 && (this.#first >= turn.index || late > PATIENCE_MS)) break;
      await sleep(late < 0 ? Math.min(-late, 50) : 5);
    }
    this.#begun[turn.index] = true;
    while (this.#begun[this.#first]) this.#first += 1;
  }
}
