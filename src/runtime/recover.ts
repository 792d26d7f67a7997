import type { EntryStatus } from '../native/types.ts';
import { type ContainerStatus, stateOf } from '../store/container-status.ts';
import type { Container } from '../store/containers.ts';
import type { Sandbox } from '../store/sandboxes.ts';
import { killCgroup } from './cgroup/kill.ts';
import type { RuntimeContext } from './context.ts';
import { endMonitor } from './end-monitor.ts';
import { readExitRecord } from './exit-record.ts';
import { exitFacts, monitorExit, recordExit } from './exits.ts';
import type { Exit, PodMonitor } from './monitors.ts';
import { removeOrphans } from './orphans.ts';
import { exitDir, monitorSocket } from './paths.ts';
import { livePod } from './pod-network.ts';
import { removeSandbox } from './remove-sandbox.ts';
import { sandboxStopped } from './sandbox-stopped.ts';
import { endStrayMonitors } from './stray-monitors.ts';
import { resumeUpdate } from './update-resources.ts';
import { watchMonitor } from './watch-monitor.ts';

/** How long one sandbox may hold up the recovery of its own containers, ms (RC-6). */
const RECOVERY_MS = 10_000;

/** The monitors' protocol from which on clients can attach (native/plan/protocol.h). */
const ATTACH_VERSION = 2;

/** And from which on a start may bring the log. */
const EMBRYO_VERSION = 3;

/** And from which on it runs a command in one request. */
const RUN_VERSION = 4;

/**
 * Brings the stores in line with what runs, after a restart: pods are recovered side by side, and
 * one that cannot be reached is NotReady and still there to be removed.
 */
export async function recover(ctx: RuntimeContext): Promise<void> {
  await Promise.all(ctx.sandboxes.list().map((sandbox) => recoverSandbox(ctx, sandbox)));
  await endStrayMonitors(ctx);
  await recoverStrays(ctx);
  await recoverNetwork(ctx);
  await removeOrphans(ctx);
  await removeUnwanted(ctx);
}

/** Containers whose pod's record is lost: the pod cannot go on, they are there to be removed. */
async function recoverStrays(ctx: RuntimeContext): Promise<void> {
  const strays = ctx.containers.list().filter((c) => !ctx.sandboxes.has(c.record.sandboxId));
  for (const id of new Set(strays.map(({ record }) => record.sandboxId))) {
    ctx.log.error({ id }, 'the record of a pod is lost, and its containers are ended');
    await endLeftMonitor(ctx, id);
  }
  await recoverContainers(ctx, strays, undefined);
}

/** What the network cannot give back now is given back by the removal of its pod. */
async function recoverNetwork(ctx: RuntimeContext): Promise<void> {
  const live = ctx.sandboxes.list().flatMap((sandbox) => livePod(sandbox) ?? []);
  await ctx.network.recover(live).catch((error: unknown) => {
    ctx.log.error({ err: error }, 'the network of earlier pods could not be recovered');
  });
}

/**
 * Pods that nobody will remove: one that never was ready, whose id nobody has been told (SB-2), and
 * an attached one, which goes with the program that made it. That is no more, since the root is
 * ours; its monitor may still be ending it.
 */
async function removeUnwanted(ctx: RuntimeContext): Promise<void> {
  for (const { record } of ctx.sandboxes.list()) {
    if (!record.config.attached && record.monitorPid !== undefined) continue;
    await removeSandbox(ctx, record.id).catch((error: unknown) => {
      ctx.log.error({ id: record.id, err: error }, 'an unwanted pod could not be removed');
    });
  }
}

async function recoverSandbox(ctx: RuntimeContext, sandbox: Sandbox): Promise<void> {
  const { id } = sandbox.record;
  const members = ctx.containers.list().filter((c) => c.record.sandboxId === id);
  const found = sandbox.state === 'ready' ? await reconnect(ctx, sandbox, members) : undefined;
  if (found) watchMonitor(ctx, sandbox, found.monitor);
  else {
    // Of a pod that was never ready, or that does not answer.
    await endLeftMonitor(ctx, id);
    if (sandbox.state === 'ready') await sandboxStopped(ctx, sandbox);
  }
  await recoverContainers(ctx, members, found);
  if (!found) return;
  for (const entry of found.entries.values()) {
    if (ctx.containers.has(entry.id)) continue;
    ctx.log.warn({ id: entry.id, pid: entry.pid }, 'ending a process without a record');
    await found.monitor.connection.delete(entry.id).catch((error: unknown) => {
      ctx.log.warn({ id: entry.id, err: error }, 'a process without a record could not be ended');
    });
  }
}

async function endLeftMonitor(ctx: RuntimeContext, sandboxId: string): Promise<void> {
  await endMonitor(ctx, sandboxId).catch((error: unknown) => {
    ctx.log.error({ id: sandboxId, err: error }, 'a monitor is left to the removal of its pod');
  });
}

async function recoverContainers(
  ctx: RuntimeContext,
  members: Container[],
  found: Reconnected | undefined,
): Promise<void> {
  await Promise.all(
    members.map((member) =>
      recoverContainer(ctx, member, found)
        .then(() => resumeUpdate(ctx, member))
        .catch((error: unknown) => {
          ctx.log.error({ id: member.record.id, err: error }, 'container could not be recovered');
          member.status.update((status) => ({ ...status, unknown: true }));
        }),
    ),
  );
}

interface Reconnected {
  monitor: PodMonitor;
  /** What it says of its processes, by id. */
  entries: Map<string, EntryStatus>;
  /** Waits for their exits, armed before it was asked: an exit in between is not lost (EX-16). */
  exits: Map<string, Promise<Exit>>;
}

/** The monitor of a pod that was ready, if this boot still has it and it answers in time. */
async function reconnect(
  ctx: RuntimeContext,
  sandbox: Sandbox,
  members: Container[],
): Promise<Reconnected | undefined> {
  const { id, bootId } = sandbox.record;
  if (bootId !== ctx.host.bootId) return undefined;
  let monitor: PodMonitor | undefined;
  try {
    const connection = ctx.addon.connectMonitor(monitorSocket(ctx.options, id));
    const added = ctx.monitors.add(id, connection);
    monitor = added;
    const exits = new Map(members.map(({ record }) => [record.id, added.armExit(record.id)]));
    const answers = Promise.all([connection.hello(), connection.state()]);
    const [greeting, state] = await Promise.race([answers, timeout(RECOVERY_MS)]);
    if (greeting.pod === id && greeting.hasSandbox) {
      monitor.attaches = greeting.version >= ATTACH_VERSION;
      monitor.embryos = greeting.version >= EMBRYO_VERSION;
      monitor.runs = greeting.version >= RUN_VERSION;
      return { monitor, entries: new Map(state.map((entry) => [entry.id, entry])), exits };
    }
  } catch (error) {
    ctx.log.warn({ id, err: error }, 'the monitor of a pod is gone');
  }
  monitor?.close();
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
  found: Reconnected | undefined,
): Promise<void> {
  const { id, sandboxId } = container.record;
  const state = stateOf(container.status.get());
  const monitor = found?.monitor;
  const entry = found?.entries.get(id);
  const exit = found?.exits.get(id);
  if (exit && entry?.state === 'running' && state !== 'exited') {
    if (state === 'created') await container.status.settle((s) => started(s, entry));
    monitorExit(ctx, container, exit);
    return;
  }
  monitor?.disarm(id);
  if (entry?.state === 'exited' && entry.startedAt !== 0n && state !== 'exited') {
    await container.status.settle((s) => started(s, entry));
    await recordExit(
      ctx,
      container,
      await exitFacts(ctx, container, { kind: 'exited', status: entry }),
    );
    return;
  }
  // What was never started, parked or dead by now, has run nothing: the container may be started
  // afresh (G-7).
  if (monitor && entry) await monitor.connection.delete(id);
  else if (!monitor && state !== 'exited') {
    // It may have been started just before the crash, whatever the record says.
    await killCgroup(ctx.cgroups, container.record.cgroupPath);
  }
  // Without a monitor, its record alone tells that a container has run (G-10).
  const left =
    state === 'created' && !monitor
      ? await readExitRecord(exitDir(ctx.options, sandboxId), id)
      : undefined;
  if (left) await container.status.settle((s) => started(s, left));
  if (state === 'running' || left) {
    await recordExit(ctx, container, await exitFacts(ctx, container, { kind: 'lost' }));
    return;
  }
  if (state === 'exited') ctx.live.of(id).exited.resolve();
}

/** What the crash kept from being recorded: that it had been started. */
function started(
  status: ContainerStatus,
  entry: Pick<EntryStatus, 'pid' | 'startedAt'>,
): ContainerStatus {
  if (status.startedAt !== 0n) return status;
  return { ...status, pid: entry.pid, startedAt: entry.startedAt };
}
