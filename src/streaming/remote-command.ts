import type { Readable, Writable } from 'node:stream';
import { abortError, messageOf } from '../errors.ts';
import type { Logger, ProcessStreams } from './backend.ts';
import { type CommandOutcome, type CommandVersion, commandStatus } from './command-status.ts';
import { flush } from './flush.ts';
import { Pump, type PumpEnd } from './pump.ts';
import { followResizes } from './resize.ts';

/** A client's streams of one exec or attach, those that it asked for. */
export interface CommandChannels {
  readonly stdin?: Readable | undefined;
  readonly stdout?: Writable | undefined;
  readonly stderr?: Writable | undefined;
  readonly resize?: Readable | undefined;
  readonly error: Writable;
}

export interface CommandSession {
  readonly channels: CommandChannels;
  readonly version: CommandVersion;
  /** How long output is waited for that background children of an ended process hold open, ms. */
  readonly drainMs: number;
  /** Fires when the client is gone, or has to go. */
  readonly signal: AbortSignal;
  readonly log: Logger;
  open(signal: AbortSignal): Promise<ProcessStreams>;
  /**
   * Whether the exit code is told. That of a container to which a client was attached is not: it is
   * in the container's status, and kubectl takes any failure as one of the attach.
   */
  readonly tellsExit: boolean;
}

/**
 * Connects a client with a process until that ends or the client is gone, and tells the client how
 * it ended. When this resolves, everything that was written is handed to the connection, and the
 * process is let go of. Never rejects.
 */
export async function runCommand(session: CommandSession): Promise<void> {
  const { channels, signal, log } = session;
  let process: ProcessStreams | undefined;
  try {
    let outcome: CommandOutcome;
    try {
      process = await session.open(signal);
      const exitCode = await drive(session, process);
      outcome = { kind: 'exited', exitCode: session.tellsExit ? exitCode : 0 };
    } catch (error) {
      outcome = { kind: 'failed', message: messageOf(error) };
    }
    await Promise.all([channels.stdout, channels.stderr].map((each) => each && flush(each)));
    await flush(channels.error, commandStatus(outcome, session.version));
  } finally {
    await process?.close().catch((error: unknown) => {
      log.warn({ err: error }, 'a streamed process could not be let go of');
    });
  }
}

async function drive(session: CommandSession, process: ProcessStreams): Promise<number> {
  const { channels, signal } = session;
  if (channels.resize) followResizes(channels.resize, (rows, cols) => process.resize(rows, cols));
  if (channels.stdin) feed(channels.stdin, process.stdin);
  const outputs: Pump[] = [];
  if (process.stdout && channels.stdout) outputs.push(new Pump(process.stdout, channels.stdout));
  if (process.stderr && channels.stderr) outputs.push(new Pump(process.stderr, channels.stderr));
  const { exitCode } = await race(signal, [process.wait(), ...outputs.map(broken)]);
  await race(signal, [Promise.all(outputs.map((output) => output.finish(session.drainMs)))]);
  return exitCode;
}

/** The client's input. Where there is nobody to take it, it is read and dropped. */
function feed(source: Readable, stdin: Writable | undefined): void {
  if (!stdin) {
    source.on('error', () => {});
    source.resume();
    return;
  }
  const pump = new Pump(source, stdin, { discard: true });
  // An end by accident is not the end of file that a process may act upon; `close` takes care of it.
  void pump.done.then((end) => end.kind === 'ended' && stdin.end());
}

/** Rejects when an output breaks with an error of its own; does not resolve otherwise. */
function broken(output: Pump): Promise<never> {
  return new Promise((_, reject) => {
    void output.done.then((end: PumpEnd) => {
      if (end.kind === 'sourceLost' && end.error) reject(end.error);
    });
  });
}

/** The first of them to settle, or the signal's error. */
async function race<T>(signal: AbortSignal, promises: Promise<T>[]): Promise<T> {
  let onAbort!: () => void;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(abortError(signal));
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([...promises, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
