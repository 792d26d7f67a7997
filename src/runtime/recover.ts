import type { EntryStatus } from '../native/types.ts';
import { type ContainerStatus, stateOf } from '../store/container-status.ts';
import type { Container } from '../store/containers.ts';
import type { Sandbox } from '../store/sandboxes.ts';
import { killCgroup } from './cgroup/kill.ts';
import type { RuntimeContext } from './context.ts';
import { now } from './events.ts';
import { exitFacts, monitorExit, recordExit } from './exits.ts';
import type { PodMonitor } from './monitors.ts';
import { removeOrphans } from './orphans.ts';
import { monitorSocket } from './paths.ts';
import { removeSandbox } from './remove-sandbox.ts';
import { watchMonitor } from './watch-monitor.ts';

/** How long one sandbox may hold up the recovery of its own containers, ms (RC-6). */
const RECOVERY_MS = 10_000;

/**
 * Brings the stores in line with what runs, after a restart: pods are recovered side by side, and
 * one that cannot be reached is NotReady and still there to be removed.
 */
export async function recover(ctx: RuntimeContext): Promise<void> {
  await Promise.all(ctx.sandboxes.list().map((sandbox) => recoverSandbox(ctx, sandbox)));
  const live = ctx.sandboxes.list().filter((s) => s.state === 'ready');
  await ctx.network.recover(live.map((s) => s.record.id));
  await removeOrphans(ctx);
  await removeAttached(ctx);
}

/** An attached pod went with the program that made it; nobody else will remove what is left. */
async function removeAttached(ctx: RuntimeContext): Promise<void> {
  for (const { record, state } of ctx.sandboxes.list()) {
    if (record.config.attached && state !== 'ready') await removeSandbox(ctx, record.id);
  }
}

async function recoverSandbox(ctx: RuntimeContext, sandbox: Sandbox): Promise<void> {
  const monitor = sandbox.state === 'ready' ? await reconnect(ctx, sandbox) : undefined;
  const members = ctx.containers.list().filter((c) => c.record.sandboxId === sandbox.record.id);
  const entries = new Map<string, EntryStatus>();
  if (monitor) {
    // Waits are armed before the state is asked for: an exit in between is not lost (EX-16).
    for (const member of members) monitor.armExit(member.record.id);
    for (const entry of await monitor.connection.state()) entries.set(entry.id, entry);
    watchMonitor(ctx, sandbox, monitor);
  } else if (sandbox.state === 'ready') {
    await sandbox.stopped(now());
  }
  await Promise.all(
    members.map((member) =>
      recoverContainer(ctx, member, monitor, entries.get(member.record.id)).catch(
        (error: unknown) => {
          ctx.log.error({ id: member.record.id, err: error }, 'container could not be recovered');
          member.status.update((status) => ({ ...status, unknown: true }));
        },
      ),
    ),
  );
  for (const entry of entries.values()) {
    if (monitor && !ctx.containers.has(entry.id)) await monitor.connection.delete(entry.id);
  }
}

/** The monitor of a pod that was ready, if this boot still has it. */
async function reconnect(ctx: RuntimeContext, sandbox: Sandbox): Promise<PodMonitor | undefined> {
  const { id, bootId } = sandbox.record;
  if (bootId !== ctx.host.bootId) return undefined;
  try {
    const connection = ctx.addon.connectMonitor(monitorSocket(ctx.options, id));
    const monitor = ctx.monitors.add(id, connection);
    const greeting = await Promise.race([connection.hello(), timeout(RECOVERY_MS)]);
    if (greeting.pod === id && greeting.hasSandbox) return monitor;
    connection.close();
  } catch (error) {
    ctx.log.warn({ id, err: error }, 'the monitor of a pod is gone');
  }
  return undefined;
}

function timeout(ms: number): Promise<never> {
  return new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms).unref();
  });
}

/** One row of the decision table in docs/architecture.md, by what the monitor and the store say. */
async function recoverContainer(
  ctx: RuntimeContext,
  container: Container,
  monitor: PodMonitor | undefined,
  entry: EntryStatus | undefined,
): Promise<void> {
  const { id } = container.record;
  const state = stateOf(container.status.get());
  if (monitor && entry?.state === 'running' && state !== 'exited') {
    if (state === 'created') await container.status.updateSync((s) => started(s, entry));
    monitorExit(ctx, container, monitor.armExit(id));
    return;
  }
  monitor?.disarm(id);
  if (entry?.state === 'exited' && state !== 'exited') {
    await container.status.updateSync((s) => started(s, entry));
    await recordExit(
      ctx,
      container,
      await exitFacts(ctx, container, { kind: 'exited', status: entry }),
    );
    return;
  }
  // A process that was parked has run nothing: the container may be started afresh (G-7).
  if (monitor && entry) await monitor.connection.delete(id);
  if (state === 'running') {
    await killCgroup(ctx.cgroups, container.record.cgroupPath);
    await recordExit(ctx, container, await exitFacts(ctx, container, { kind: 'lost' }));
    return;
  }
  if (state === 'exited') ctx.live.of(id).exited.resolve();
}

/** What the crash kept from being recorded: that it had been started. */
function started(status: ContainerStatus, entry: EntryStatus): ContainerStatus {
  if (status.startedAt !== 0n) return status;
  return { ...status, pid: entry.pid, startedAt: entry.startedAt };
}
