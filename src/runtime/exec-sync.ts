import { Socket } from 'node:net';
import { CoracleError, quote } from '../errors.ts';
import type { RuntimeContext } from './context.ts';
import { deadline, settledWithin, withSignal } from './deferred.ts';
import { type ExecProcess, type ExecRequest, openExec } from './exec.ts';

/** Bytes kept of each stream; what follows is drained and dropped (XS-2, CVE-2022-1708). */
const OUTPUT_LIMIT = 16 * 1024 * 1024;
/** Reads that are kept as one buffer: a command that writes byte by byte costs memory otherwise. */
const MERGED = 256;

/** How long a killed command may take to be gone, ms. */
const KILL_MS = 2_000;

export interface ExecSyncOptions {
  /** No limit where absent or 0. */
  timeoutMs?: number;
  signal?: AbortSignal;
}

export interface ExecSyncResult {
  stdout: Buffer;
  stderr: Buffer;
  /** 0–255; 128 + n for a death by signal n. */
  exitCode: number;
}

/**
 * Runs a command in a running container and collects its output.
 *
 * A command over its time is killed and the call fails with DeadlineExceeded (XS-5). Output that a
 * background child still holds open is waited for no longer than `execDrainTimeoutMs` (XS-6).
 */
export async function execSync(
  ctx: RuntimeContext,
  id: string,
  argv: string[],
  options: ExecSyncOptions = {},
): Promise<ExecSyncResult> {
  const request: ExecRequest = {
    argv,
    stdio: [{ type: 'null' }, { type: 'pipe' }, { type: 'pipe' }],
  };
  const { timeoutMs } = options;
  const late = () => {
    const what = `command ${quote(argv[0])} timed out after ${timeoutMs} ms`;
    return new CoracleError('DeadlineExceeded', what);
  };
  const limit = deadline(timeoutMs, late, options.signal);
  try {
    const process = await openExec(ctx, id, request, limit.signal);
    return await collectOutput(ctx, id, process, limit.signal);
  } finally {
    limit.clear();
  }
}

async function collectOutput(
  ctx: RuntimeContext,
  id: string,
  process: ExecProcess,
  signal: AbortSignal,
): Promise<ExecSyncResult> {
  const stdout = collect(process.pipes[1]);
  const stderr = collect(process.pipes[2]);
  try {
    const { exitCode } = await withSignal(process.wait(), signal);
    const drained = Promise.all([stdout.ended, stderr.ended]);
    // The exit is known: a deadline that passes now ends the wait for more output, not the call.
    const whole = settledWithin(drained, ctx.options.execDrainTimeoutMs);
    if (!(await withSignal(whole, signal).catch(() => false))) {
      ctx.log.warn({ id }, 'exec output is still held open by a background process');
    }
    return { stdout: stdout.bytes(), stderr: stderr.bytes(), exitCode };
  } finally {
    stdout.close();
    stderr.close();
    await endExec(ctx, id, process);
  }
}

/** Kills the command. One that hangs in the kernel does not hold up the answer (XS-5). */
export async function endExec(
  ctx: RuntimeContext,
  id: string,
  process: ExecProcess,
): Promise<void> {
  const ended = process.delete().catch((error: unknown) => {
    ctx.log.warn({ id, err: error }, 'a command could not be ended');
  });
  if (await settledWithin(ended, KILL_MS)) return;
  ctx.log.warn({ id }, 'a command does not end although it was killed');
}

interface Collector {
  ended: Promise<void>;
  bytes(): Buffer;
  close(): void;
}

function collect(fd: number | undefined): Collector {
  if (fd === undefined) throw new CoracleError('Internal', 'exec has no output pipe');
  const socket = new Socket({ fd, readable: true, writable: false });
  const chunks: Buffer[] = [];
  let recent: Buffer[] = [];
  let size = 0;
  socket.on('data', (chunk: Buffer) => {
    if (size >= OUTPUT_LIMIT) return;
    recent.push(chunk.subarray(0, OUTPUT_LIMIT - size));
    size += chunk.length;
    if (recent.length < MERGED) return;
    chunks.push(Buffer.concat(recent));
    recent = [];
  });
  socket.on('error', () => socket.destroy());
  const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  return {
    ended,
    bytes: () => Buffer.concat([...chunks, ...recent]),
    close: () => socket.destroy(),
  };
}
