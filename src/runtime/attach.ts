import { closeSync } from 'node:fs';
import { CoracleError, invalid } from '../errors.ts';
import { isNativeError } from '../native/addon.ts';
import { AttachOutput } from './attach-output.ts';
import type { RuntimeContext } from './context.ts';
import { deferred, keepAlive, withSignal } from './deferred.ts';
import { fromNative, wrapNative } from './native-failure.ts';
import { requireRunning } from './preconditions.ts';
import { ProcessInput } from './process-input.ts';
import type { ProcessStreams, StreamRequest } from './streams.ts';
import { isSize } from './terminal-size.ts';

/**
 * Joins the streams of a running container, beside its log and other clients. What it wrote before
 * is not repeated. A container without `stdin` has none; one with a terminal has one output,
 * whatever the request says.
 *
 * A client that falls about 1 MiB behind is cut off: its streams and `wait` fail with
 * ResourceExhausted. The end of a client's stdin ends the container's with `stdinOnce` alone
 * (LG-12). Throws NotFound; FailedPrecondition where it does not run, or its streams are moved
 * elsewhere; ResourceExhausted beyond 16 clients; Unimplemented in pods of an older version.
 */
export async function openAttach(
  ctx: RuntimeContext,
  containerId: string,
  request: StreamRequest,
  signal?: AbortSignal,
): Promise<ProcessStreams> {
  const container = requireRunning(ctx, containerId);
  const { id, sandboxId, config } = container.record;
  const wanted = {
    stdin: request.stdin && config.stdin === true,
    stdout: request.stdout,
    stderr: request.stderr && !config.tty,
  };
  if (!request.stdin && !wanted.stdout && !wanted.stderr) {
    throw invalid('streams', request, 'must have one of stdin, stdout, stderr');
  }
  const { connection } = ctx.monitors.get(sandboxId);
  const joining = connection.attach(id, wanted);
  const ends = await withSignal(joining, signal).catch((error: unknown) => {
    if (signal?.aborted) joining.then(closeEnds, () => {});
    throw attachError(error);
  });
  const output = new AttachOutput(ends.output, wanted);
  const stdin = ends.input === undefined ? undefined : new ProcessInput(ends.input);
  const { exited } = ctx.live.of(id);
  const detached = deferred<void>();
  return {
    stdin,
    stdout: output.stdout,
    stderr: output.stderr,
    resize: async (rows, cols) => {
      if (!config.tty || !isSize(rows, cols)) return;
      await wrapNative(connection.resize(id, rows, cols), 'FailedPrecondition');
    },
    wait: async () => {
      // Also where the output is over: its exit code is known once the exit is recorded.
      const over = output.done.then(() => exited.promise);
      await keepAlive(Promise.race([detached.promise, exited.promise, over]));
      return { exitCode: container.status.get().exitCode };
    },
    close: async () => {
      detached.resolve();
      stdin?.destroy();
      output.close();
    },
  };
}

function closeEnds(ends: { output: number; input?: number }): void {
  closeSync(ends.output);
  if (ends.input !== undefined) closeSync(ends.input);
}

function attachError(error: unknown): unknown {
  if (isNativeError(error) && error.code === 'ENOSYS') {
    const what = 'the pod was started by an older version, whose monitor cannot attach';
    return new CoracleError('Unimplemented', what, { cause: error });
  }
  return fromNative(error, 'FailedPrecondition');
}
