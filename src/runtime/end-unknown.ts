import type { EntryStatus } from '../native/types.ts';
import type { Container } from '../store/containers.ts';
import { killCgroup } from './cgroup/kill.ts';
import type { RuntimeContext } from './context.ts';
import { settledWithin } from './deferred.ts';
import { exitFacts, recordExit } from './exits.ts';
import type { Exit } from './monitors.ts';
import { deleteEntry } from './task.ts';

/** How long a monitor may take to answer before the container is ended without it, ms. */
const ANSWER_MS = 10_000;

/**
 * Ends a container in UNKNOWN state, whose exit nobody may be watching: whatever runs of it is
 * killed, and its end recorded by the monitor's word, the exit record, or else as 255 (SP-4).
 */
export async function endUnknown(ctx: RuntimeContext, container: Container): Promise<void> {
  const ending = await endThroughMonitor(ctx, container);
  if (ending === undefined) await killCgroup(ctx.cgroups, container.record.cgroupPath);
  await recordExit(ctx, container, await exitFacts(ctx, container, ending ?? { kind: 'lost' }));
}

/** Undefined where there is no monitor that could tell. */
async function endThroughMonitor(
  ctx: RuntimeContext,
  { record }: Container,
): Promise<Exit | undefined> {
  const monitor = ctx.monitors.find(record.sandboxId);
  if (!monitor) return undefined;
  const exit = monitor.armExit(record.id);
  const asked = entryOf(monitor.connection.state(), record.id);
  if (!(await settledWithin(asked, ANSWER_MS))) return undefined;
  const entry = await asked;
  if (entry?.state === 'exited') return { kind: 'exited', status: entry };
  if (entry?.state !== 'running') return undefined;
  // The exit is announced before the deletion is answered.
  await settledWithin(deleteEntry(monitor, record.id), ANSWER_MS);
  return (await settledWithin(exit, 0)) ? exit : undefined;
}

async function entryOf(state: Promise<EntryStatus[]>, id: string) {
  const entries = await state.catch(() => []);
  return entries.find((entry) => entry.id === id);
}
