import { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import type { ReadStream } from 'node:tty';
import { CoracleError } from '../errors.ts';
import type { LogSpec, StdioSpec } from '../native/types.ts';
import type { RuntimeContext } from '../runtime/context.ts';
import { type ContainerIo, logStdio } from '../runtime/stdio.ts';
import { Terminal } from '../runtime/terminal.ts';
import type { ContainerRecord } from '../store/types.ts';

/**
 * Where one standard stream of a process goes.
 *
 * - `'ignore'`: /dev/null
 * - `'pipe'`: a stream of this program
 * - `'inherit'`: this program's own descriptor
 * - a number: that descriptor itself, handed to the process
 * - `{ raw: fd }`: moved to a file or socket by the pod's monitor with splice(2), so that it goes on
 *   when this program ends (stdout and stderr only)
 * - `'log'`: the CRI log file, where the container has a `logPath` (stdout and stderr only)
 */
export type Stdio = 'ignore' | 'pipe' | 'inherit' | 'log' | number | { raw: number };

export interface StdioOptions {
  stdin?: Stdio;
  stdout?: Stdio;
  stderr?: Stdio;
}

/** The launch options for a choice of streams; `log` is where 'log' leads. */
export function launchStdio(options: StdioOptions, log: LogSpec | undefined): ContainerIo {
  const { stdin = 'ignore', stdout = 'ignore', stderr = 'ignore' } = options;
  if (stdin === 'log' || typeof stdin === 'object') {
    throw new CoracleError('InvalidArgument', 'stdin: cannot go to a log');
  }
  const outputs = [stdout, stderr];
  const raw = outputs.some((each) => typeof each === 'object');
  if (raw && outputs.includes('log')) {
    throw new CoracleError('InvalidArgument', "stdout, stderr: { raw } and 'log' cannot be mixed");
  }
  const stdio: ContainerIo['stdio'] = [
    spec(stdin, 0, log),
    spec(stdout, 1, log),
    spec(stderr, 2, log),
  ];
  if (raw) {
    // A stream that is not raw has no pump: the descriptor named for it stays unused.
    const [out, err] = [rawFd(stdout) ?? rawFd(stderr), rawFd(stderr) ?? rawFd(stdout)];
    return { stdio, log: { type: 'raw', stdout: out ?? 0, stderr: err ?? 0 } };
  }
  return outputs.includes('log') && log ? { stdio, log } : { stdio };
}

/** Where a container's streams go. */
export interface ContainerStdio {
  io: ContainerIo;
  /** Its terminal is this program's. */
  terminal: boolean;
}

/** As `options` say, or without them to its log. */
export function containerStdio(
  ctx: RuntimeContext,
  record: Pick<ContainerRecord, 'sandboxId' | 'config'>,
  options: StdioOptions | undefined,
): ContainerStdio {
  const log = logStdio(ctx, record);
  if (!options) return { io: log, terminal: false };
  const io = launchStdio(options, log.log);
  return { io, terminal: record.config.tty === true && !io.log };
}

function spec(choice: Stdio, fd: number, log: LogSpec | undefined): StdioSpec {
  if (choice === 'ignore') return { type: 'null' };
  if (choice === 'pipe') return { type: 'pipe' };
  if (choice === 'inherit') return { type: 'fd', fd };
  if (choice === 'log') return log ? { type: 'log' } : { type: 'null' };
  return typeof choice === 'number' ? { type: 'fd', fd: choice } : { type: 'log' };
}

function rawFd(choice: Stdio): number | undefined {
  return typeof choice === 'object' ? choice.raw : undefined;
}

/** The streams of this program's ends of the pipes; null where a stream is no pipe. */
export interface ProcessStreams {
  readonly stdin: Writable | null;
  readonly stdout: Readable | null;
  readonly stderr: Readable | null;
}

export function streamsOf(pipes: readonly (number | undefined)[]): ProcessStreams {
  const [stdin, stdout, stderr] = pipes;
  return {
    stdin: stdin === undefined ? null : new Socket({ fd: stdin, readable: false, writable: true }),
    stdout: stdout === undefined ? null : readable(stdout),
    stderr: stderr === undefined ? null : readable(stderr),
  };
}

function readable(fd: number): Readable {
  return new Socket({ fd, readable: true, writable: false });
}

/** A pty master as one stream in both directions. Its end reads as EIO, after which it closes. */
export function terminalStream(master: number): ReadStream {
  const stream = new Terminal(master);
  stream.on('error', () => stream.destroy());
  return stream;
}
