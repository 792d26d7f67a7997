import type { RuntimeContext } from './context.ts';
import { settledWithin } from './deferred.ts';

/** How long a killed command may take to be gone, ms. */
const KILL_MS = 2_000;

/** Kills the command. One that hangs in the kernel does not hold up the answer (XS-5). */
export async function endExec(
  ctx: RuntimeContext,
  id: string,
  process: { delete(): Promise<void> },
): Promise<void> {
  const ended = process.delete().catch((error: unknown) => {
    ctx.log.warn({ id, err: error }, 'a command could not be ended');
  });
  if (await settledWithin(ended, KILL_MS)) return;
  ctx.log.warn({ id }, 'a command does not end although it was killed');
}
