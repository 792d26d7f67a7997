import type { ReadStream } from 'node:tty';
import { CoracleError } from '../errors.ts';
import { openAttach } from '../runtime/attach.ts';
import type { RuntimeContext } from '../runtime/context.ts';
import { keepAlive, withSignal } from '../runtime/deferred.ts';
import { type ExecRequest, openExec } from '../runtime/exec.ts';
import { type ExecSyncOptions, type ExecSyncResult, execSync } from '../runtime/exec-sync.ts';
import { wrapNative } from '../runtime/native-failure.ts';
import { removeContainer } from '../runtime/remove.ts';
import { reopenLog } from '../runtime/reopen-log.ts';
import { startContainer } from '../runtime/start.ts';
import { signalContainer, stopContainer } from '../runtime/stop.ts';
import { updateContainerResources } from '../runtime/update-resources.ts';
import type { LinuxResources } from '../spec/config.ts';
import { signalNumber } from '../spec/stop-signal.ts';
import { type ContainerState, type ContainerStatus, stateOf } from '../store/container-status.ts';
import { Attachment, type AttachOptions } from './attachment.ts';
import { ExecHandle } from './exec.ts';
import { check, checkSize } from './options/check.ts';
import { resources as limits } from './options/parts.ts';
import {
  attachOptions,
  argv as command,
  execOptions,
  exitOptions,
  signalName,
  stdioOptions,
  timedOptions,
  waitOptions,
} from './options/process.ts';
import {
  type ContainerStdio,
  containerStdio,
  launchStdio,
  type ProcessStreams,
  type StdioOptions,
  streamsOf,
  terminalStream,
} from './stdio.ts';

/** How a process ended. */
export interface ExitStatus {
  /** 0–255; 128 + n for a death by signal n. */
  exitCode: number;
  /** "Completed", "Error", "OOMKilled", "StartError", "Unknown". */
  reason: string;
  startedAt: Date;
  finishedAt: Date;
}

export interface WaitOptions {
  /**
   * False: the exit need not be on disk yet, which takes a fraction of the time. `info` may say for
   * a moment that the container runs. Default true.
   */
  durable?: boolean;
  signal?: AbortSignal;
}

export interface ContainerInfo {
  id: string;
  state: ContainerState;
  pid: number;
  exitCode: number;
  reason: string;
  message: string;
}

export interface ExecOptions extends StdioOptions, Omit<ExecRequest, 'argv' | 'stdio'> {}

const NO_STREAMS: ProcessStreams = { stdin: null, stdout: null, stderr: null };

/** One container of a pod. `await using` removes it. */
export class Container implements AsyncDisposable {
  readonly id: string;
  readonly #ctx: RuntimeContext;
  readonly #ahead: ContainerStdio | undefined;
  #streams = NO_STREAMS;
  #terminal: ReadStream | null = null;

  /** @internal Containers are made by `Pod.createContainer`. */
  constructor(ctx: RuntimeContext, id: string, ahead?: ContainerStdio) {
    this.#ctx = ctx;
    this.id = id;
    this.#ahead = ahead;
  }

  /** Our ends of the pipes that `start` was asked for. */
  get stdin() {
    return this.#streams.stdin;
  }
  get stdout() {
    return this.#streams.stdout;
  }
  get stderr() {
    return this.#streams.stderr;
  }

  /**
   * Both directions of its terminal, where it was made with `tty` and started with options that do
   * not send its output to the log.
   */
  get terminal(): ReadStream | null {
    return this.#terminal;
  }

  /**
   * Starts it; rejects with the reason when the command cannot be executed. Without options its
   * streams are those that it was launched ahead with, or else go to its log.
   */
  async start(given?: StdioOptions): Promise<void> {
    const options = given && (check(stdioOptions, 'options', given) as StdioOptions);
    const { record } = this.#ctx.containers.get(this.id);
    const ahead = options ? undefined : this.#ahead;
    const { io, terminal } = ahead ?? containerStdio(this.#ctx, record, options);
    if (terminal) {
      io.parked = async (task) => {
        // Of a process that was launched ahead and is no good any more.
        this.#terminal?.destroy();
        this.#terminal = terminalStream(await task.terminal());
      };
    }
    const task = await startContainer(this.#ctx, this.id, io);
    this.#streams = streamsOf(task.result.pipes);
  }

  async resize(rows: number, columns: number): Promise<void> {
    checkSize(rows, columns);
    const { record } = this.#ctx.containers.get(this.id);
    const { connection } = this.#ctx.monitors.get(record.sandboxId);
    await wrapNative(connection.resize(this.id, rows, columns), 'FailedPrecondition');
  }

  /**
   * Resolves once the exit is recorded, or with `durable: false` as soon as it is known. Rejects
   * where there will be none to learn of: the container is removed before it was started (NotFound),
   * or the runtime is closed (Unavailable).
   */
  async wait(options: WaitOptions = {}): Promise<ExitStatus> {
    check(exitOptions, 'options', options);
    const { durable = true, signal } = options;
    const { status } = this.#ctx.containers.get(this.id);
    const { exited, ended } = this.#ctx.live.of(this.id);
    if (stateOf(status.get()) !== 'exited') {
      if (!durable) {
        const ending = await keepAlive(withSignal(ended.promise, signal));
        return exitStatus({ ...status.get(), ...ending });
      }
      await keepAlive(withSignal(exited.promise, signal));
    }
    return exitStatus(status.get());
  }

  /** Sends a signal by name or number to its first process. */
  async kill(signal: string | number = 'SIGTERM'): Promise<void> {
    const text = String(check(signalName, 'signal', signal));
    await signalContainer(this.#ctx, this.id, signalNumber(text, 'signal'));
  }

  /** Its stop signal, then SIGKILL after `timeoutMs` (default 10 s); returns when it has ended. */
  async stop(options: { timeoutMs?: number; signal?: AbortSignal } = {}): Promise<void> {
    check(timedOptions, 'options', options);
    await stopContainer(this.#ctx, this.id, options.timeoutMs ?? 10_000, options.signal);
  }

  /** Runs a command in it and collects the output. */
  async execSync(argv: string[], options: ExecSyncOptions = {}): Promise<ExecSyncResult> {
    check(command, 'argv', argv);
    check(timedOptions, 'options', options);
    return execSync(this.#ctx, this.id, argv, options);
  }

  /** Starts a command in it. */
  async exec(argv: string[], options: ExecOptions = {}): Promise<ExecHandle> {
    check(command, 'argv', argv);
    const given = check(execOptions, 'options', options) as ExecOptions;
    const { stdin, stdout, stderr, ...request } = given;
    const chosen: StdioOptions = {};
    if (stdin !== undefined) chosen.stdin = stdin;
    if (stdout !== undefined) chosen.stdout = stdout;
    if (stderr !== undefined) chosen.stderr = stderr;
    const { stdio, log } = launchStdio(chosen, undefined);
    if (log) throw new CoracleError('InvalidArgument', 'exec: { raw } is for containers');
    return new ExecHandle(await openExec(this.#ctx, this.id, { ...request, argv, stdio }));
  }

  /**
   * Joins its streams while it runs, where it was started without streams of this program's own.
   * It takes input where it was made with `stdin`.
   */
  async attach(options: AttachOptions = {}): Promise<Attachment> {
    check(attachOptions, 'options', options);
    const { stdin = true, stdout = true, stderr = true, signal } = options;
    const request = { stdin, stdout, stderr, tty: false };
    return new Attachment(await openAttach(this.#ctx, this.id, request, signal));
  }

  /**
   * Changes its limits, before or while it runs: all of them or, where the kernel refuses one, none.
   * What is absent stays; a memory limit or quota of −1 is taken away.
   */
  async update(resources: LinuxResources, options: { signal?: AbortSignal } = {}): Promise<void> {
    const given = check(limits, 'resources', resources) as LinuxResources;
    check(waitOptions, 'options', options);
    await updateContainerResources(this.#ctx, this.id, { resources: given }, options.signal);
  }

  /** Switches its log to a fresh file, after the old one was renamed. */
  reopenLog(): Promise<void> {
    return reopenLog(this.#ctx, this.id);
  }

  info(): ContainerInfo {
    const status = this.#ctx.containers.get(this.id).status.get();
    const { pid, exitCode, reason, message } = status;
    return { id: this.id, state: stateOf(status), pid, exitCode, reason, message };
  }

  /** Kills it if it runs, and removes everything it holds. */
  async remove(options: { signal?: AbortSignal } = {}): Promise<void> {
    check(waitOptions, 'options', options);
    await removeContainer(this.#ctx, this.id, options.signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove();
  }
}

type Ended = Pick<ContainerStatus, 'exitCode' | 'reason' | 'startedAt' | 'finishedAt'>;

function exitStatus({ exitCode, reason, startedAt, finishedAt }: Ended): ExitStatus {
  return { exitCode, reason, startedAt: date(startedAt), finishedAt: date(finishedAt) };
}

function date(ns: bigint): Date {
  return new Date(Number(ns / 1_000_000n));
}
