import { CoracleError, quote } from '../errors.ts';
import type { RuntimeContext } from './context.ts';
import { deadline, type Limit, settledWithin, withSignal } from './deferred.ts';
import { endExec } from './end-exec.ts';
import { type ExecRequest, openExec } from './exec.ts';
import { type Collector, collect } from './exec-output.ts';
import { runExec } from './exec-run.ts';
import { requireCommand, requireRunning } from './preconditions.ts';

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
  requireCommand(argv);
  const { record } = requireRunning(ctx, id);
  const monitor = ctx.monitors.get(record.sandboxId);
  const { timeoutMs, signal } = options;
  const late = () => {
    const what = `command ${quote(argv[0])} timed out after ${timeoutMs} ms`;
    return new CoracleError('DeadlineExceeded', what);
  };
  const limit = { ms: timeoutMs, late, signal };
  if (!monitor.runs) return launchedExec(ctx, id, argv, limit);
  const begin = performance.now();
  const result = await runExec(ctx, record, monitor, argv, limit);
  if (!result) return launchedExec(ctx, id, argv, limit);
  const stdout = collect(result.stdoutRest, result.stdout);
  const stderr = collect(result.stderrRest, result.stderr);
  if (result.stdoutRest !== undefined || result.stderrRest !== undefined) {
    // A timer of 0 ms would be none.
    const left = timeoutMs && Math.max(1, timeoutMs - (performance.now() - begin));
    const rest = deadline(left, late, signal);
    await drain(ctx, id, [stdout, stderr], rest.signal).finally(rest.clear);
  }
  return { stdout: stdout.bytes(), stderr: stderr.bytes(), exitCode: result.exitCode };
}

/** For a monitor that cannot run it: launched, waited for and deleted one after another. */
async function launchedExec(
  ctx: RuntimeContext,
  id: string,
  argv: string[],
  { ms, late, signal }: Limit,
): Promise<ExecSyncResult> {
  const request: ExecRequest = {
    argv,
    stdio: [{ type: 'null' }, { type: 'pipe' }, { type: 'pipe' }],
  };
  const limit = deadline(ms, late, signal);
  try {
    const process = await openExec(ctx, id, request, limit.signal);
    const stdout = collect(process.pipes[1]);
    const stderr = collect(process.pipes[2]);
    try {
      const { exitCode } = await withSignal(process.wait(), limit.signal);
      await drain(ctx, id, [stdout, stderr], limit.signal);
      return { stdout: stdout.bytes(), stderr: stderr.bytes(), exitCode };
    } finally {
      stdout.close();
      stderr.close();
      await endExec(ctx, id, process);
    }
  } finally {
    limit.clear();
  }
}

/**
 * Waits for the end of the output, and closes it. The exit is known: a deadline that passes now
 * ends the wait for more, not the call.
 */
async function drain(
  ctx: RuntimeContext,
  id: string,
  streams: Collector[],
  signal: AbortSignal,
): Promise<void> {
  const ended = Promise.all(streams.map((stream) => stream.ended));
  const whole = settledWithin(ended, ctx.options.execDrainTimeoutMs);
  if (!(await withSignal(whole, signal).catch(() => false))) {
    ctx.log.warn({ id }, 'exec output is still held open by a background process');
  }
  for (const stream of streams) stream.close();
}
