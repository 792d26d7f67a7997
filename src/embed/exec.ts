import type { ReadStream } from 'node:tty';
import { withSignal } from '../runtime/deferred.ts';
import type { ExecProcess } from '../runtime/exec.ts';
import { signalNumber } from '../spec/stop-signal.ts';
import { check, checkSize } from './options/check.ts';
import { signalName } from './options/process.ts';
import { type ProcessStreams, streamsOf, terminalStream } from './stdio.ts';

/** A command running in a container. `await using` kills it if it still runs, and forgets it. */
export class ExecHandle implements AsyncDisposable {
  readonly pid: number;
  readonly stdin: ProcessStreams['stdin'];
  readonly stdout: ProcessStreams['stdout'];
  readonly stderr: ProcessStreams['stderr'];
  /** Both directions of its terminal, where `tty` was asked for. */
  readonly terminal: ReadStream | null;
  readonly #process: ExecProcess;

  /** @internal */
  constructor(process: ExecProcess) {
    this.#process = process;
    this.pid = process.pid;
    const streams = streamsOf(process.pipes);
    this.stdin = streams.stdin;
    this.stdout = streams.stdout;
    this.stderr = streams.stderr;
    this.terminal = process.terminal === undefined ? null : terminalStream(process.terminal);
  }

  async wait(options: { signal?: AbortSignal } = {}): Promise<{ exitCode: number }> {
    const { exitCode } = await withSignal(this.#process.wait(), options.signal);
    return { exitCode };
  }

  async kill(signal: string | number = 'SIGTERM'): Promise<void> {
    const text = String(check(signalName, 'signal', signal));
    return this.#process.signal(signalNumber(text, 'signal'));
  }

  async resize(rows: number, columns: number): Promise<void> {
    checkSize(rows, columns);
    return this.#process.resize(rows, columns);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stdin?.destroy();
    this.stdout?.destroy();
    this.stderr?.destroy();
    this.terminal?.destroy();
    await this.#process.delete();
  }
}
