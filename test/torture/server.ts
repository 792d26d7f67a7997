import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type CriClient, criClient } from '../../src/cri/client.ts';
import { deferred } from '../../src/runtime/deferred.ts';
import { listens } from '../helpers/knock.ts';

const PACKAGE = fileURLToPath(new URL('../..', import.meta.url));
const CLI = join(PACKAGE, 'dist/cli/main.js');

/** How long a server may take until it answers, ms. */
const LAUNCH_MS = 60_000;
const TERM_MS = 30_000;

/** A `coracle serve` that is killed and started again; one life of it follows another. */
export class Server {
  readonly root: string;
  readonly state: string;
  readonly #socket: string;
  readonly #flags: readonly string[];
  readonly #log: number;
  #process: ChildProcess | undefined;
  #client: CriClient | undefined;
  #up = deferred<void>();
  /** Counts the lives; what a call heard of an earlier one is lost. */
  life = 0;
  /** Why the next life is over already or will be soon: then its death is none of ours to report. */
  expectsDeath = false;
  /** What each launch took until it answered, ms. */
  readonly launches: number[] = [];
  /** Ends the run: the server died, or did not come up. */
  readonly onFailure: (what: string) => void;

  /** Where faults are injected a life that has any may end by itself; the next one has none. */
  readonly #mayFail: boolean;

  constructor(
    dir: string,
    logFile: string,
    flags: string[],
    onFailure: (what: string) => void,
    mayFail = false,
  ) {
    this.root = join(dir, 'root');
    this.state = join(dir, 'state');
    this.#socket = join(dir, 'coracle.sock');
    this.#flags = flags;
    this.#log = openSync(logFile, 'a');
    this.onFailure = onFailure;
    this.#mayFail = mayFail;
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  get serves(): boolean {
    return this.#client !== undefined;
  }

  /** A client of the present life, as soon as it serves. */
  async client(): Promise<CriClient> {
    for (;;) {
      if (this.#client) return this.#client;
      await this.#up.promise;
    }
  }

  /** Starts a life; does not wait until it serves. */
  spawn(env: NodeJS.ProcessEnv = {}): void {
    this.life += 1;
    this.expectsDeath = false;
    writeSync(this.#log, `--- life ${this.life} ${new Date().toISOString()}\n`);
    const flags = ['--listen', `unix://${this.#socket}`, '--root', this.root];
    const child = spawn(
      process.execPath,
      [CLI, 'serve', ...flags, '--state', this.state, ...this.#flags],
      { cwd: PACKAGE, stdio: ['ignore', this.#log, this.#log], env: { ...process.env, ...env } },
    );
    this.#process = child;
    child.once('exit', (code, signal) => {
      if (this.#process !== child || this.expectsDeath) return;
      if (this.#mayFail && env.CORACLE_FAILPOINTS !== undefined) {
        void this.#replace();
        return;
      }
      this.onFailure(`the server ended by itself: ${signal ?? `exit status ${code}`}`);
    });
  }

  async #replace(): Promise<void> {
    await this.end('SIGKILL');
    this.spawn();
    await this.answering();
  }

  /** Waits until the present life serves; false if it was ended before. */
  async answering(): Promise<boolean> {
    const { life } = this;
    const began = performance.now();
    // A client whose first attempt to connect fails waits a second before the next.
    while (life === this.life && !this.expectsDeath && !(await listens({ path: this.#socket })))
      await sleep(5);
    const client = criClient(this.#socket);
    while (life === this.life && !this.expectsDeath) {
      try {
        await client.version({}, { deadlineMs: 5_000 });
        if (life !== this.life || this.expectsDeath) break;
        this.launches.push(performance.now() - began);
        this.#client = client;
        this.#up.resolve();
        return true;
      } catch {
        if (performance.now() - began > LAUNCH_MS) {
          this.onFailure(`the server does not answer after ${LAUNCH_MS} ms`);
          break;
        }
        await sleep(10);
      }
    }
    client.close();
    return false;
  }

  /** Ends the present life; resolves when the process is gone. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#process;
    this.expectsDeath = true;
    if (this.#client) {
      this.#client.close();
      this.#client = undefined;
      this.#up = deferred<void>();
    }
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    const late = new AbortController();
    const timer = sleep(TERM_MS, 'late', { signal: late.signal }).catch(() => 'in time');
    if ((await Promise.race([exited, timer])) === 'late') {
      this.onFailure(`the server does not end within ${TERM_MS} ms of ${signal}`);
      child.kill('SIGKILL');
      await exited;
    }
    late.abort();
  }

  close(): void {
    closeSync(this.#log);
  }
}
