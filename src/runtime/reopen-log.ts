import type { RuntimeContext } from './context.ts';
import { wrapNative } from './native-failure.ts';
import { requireRunning } from './preconditions.ts';
import { logFile } from './stdio.ts';

/**
 * Switches a running container's log to a fresh file of the same name, at a line boundary: no
 * line is lost, split or doubled. Returns after the switch (LG-9).
 */
export async function reopenLog(ctx: RuntimeContext, id: string): Promise<void> {
  const container = requireRunning(ctx, id);
  const log = logFile(ctx, container.record);
  if (log === undefined) return;
  const { connection } = ctx.monitors.get(container.record.sandboxId);
  await wrapNative(
    connection.reopenLog(container.record.id, log.path, log.within),
    'FailedPrecondition',
  );
}
