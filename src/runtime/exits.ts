import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Ending, ended, stateOf } from '../store/container-status.ts';
import type { Container } from '../store/containers.ts';
import { killCgroup } from './cgroup/kill.ts';
import { oomKillsOf } from './cgroup/oom.ts';
import type { RuntimeContext } from './context.ts';
import { now } from './events.ts';
import { readExitRecord } from './exit-record.ts';
import { holdRoot } from './held-root.ts';
import type { Exit } from './monitors.ts';
import { exitDir } from './paths.ts';

/** What is recorded where no exit code can be had, as the field's runtimes report it. */
const UNKNOWN_EXIT_CODE = 255;

/** Follows one running container to its end; each container has a watcher of its own (EX-1). */
export function monitorExit(ctx: RuntimeContext, container: Container, exit: Promise<Exit>): void {
  const letGo = holdRoot(container.status.get().pid);
  exit
    .then(async (ending) => {
      if (ending.kind === 'released') return;
      // What a monitor leaves behind (its own death took most) would run on unseen.
      if (ending.kind === 'lost') await killCgroup(ctx.cgroups, container.record.cgroupPath);
      await recordExit(ctx, container, await exitFacts(ctx, container, ending));
    })
    .catch((error: unknown) => {
      ctx.log.error({ id: container.record.id, err: error }, 'exit could not be handled');
    })
    // After the record: what is written out then may hold up what the record waits for.
    .finally(letGo);
}

/** From the monitor's word, else from the record it left (G-10), else unknown (EX-4). */
export async function exitFacts(
  ctx: RuntimeContext,
  container: Container,
  exit: Exit,
): Promise<Ending> {
  const { id, sandboxId, cgroupPath } = container.record;
  const known =
    exit.kind === 'exited'
      ? exit.status
      : await readExitRecord(exitDir(ctx.options, sandboxId), id);
  if (!known) return { exitCode: UNKNOWN_EXIT_CODE, finishedAt: now(), reason: 'Unknown' };
  const { exitCode, finishedAt } = known;
  // Also where it was a child or an exec that was killed, and the container has ended over it.
  const { oomKills } = ctx.live.of(id);
  const oom = exitCode !== 0 && oomKillsOf(ctx.cgroups, cgroupPath) > oomKills;
  return {
    exitCode,
    finishedAt,
    reason: oom ? 'OOMKilled' : exitCode === 0 ? 'Completed' : 'Error',
  };
}

/**
 * Tells those who wait for no record; persists EXITED durably, then publishes, wakes whoever waits,
 * and announces (EX-10 to EX-13).
 * A full disk delays the record, not the exit (G-5).
 */
export async function recordExit(
  ctx: RuntimeContext,
  container: Container,
  facts: Ending,
): Promise<void> {
  const { id, sandboxId } = container.record;
  if (ctx.containers.has(id)) {
    ctx.live.of(id).ended.resolve(facts);
    // Whoever waits for no record hears of it before this thread is busy with one.
    await nextTurn();
  }
  let news = false;
  await container.status.settle((status) => {
    news = stateOf(status) !== 'exited';
    return ended(status, facts);
  });
  if (!ctx.containers.has(id)) return;
  ctx.live.of(id).exited.resolve();
  if (news) ctx.events.emit('stopped', id, sandboxId);
}
