import { mkdirSync } from 'node:fs';
import { CoracleError, throwIfAborted } from '../errors.ts';
import type { SandboxConfig } from '../spec/config.ts';
import { sandboxSetup } from '../spec/sandbox-setup.ts';
import type { Sandbox } from '../store/sandboxes.ts';
import type { SandboxRecord } from '../store/types.ts';
import { podCgroup } from './cgroup/index.ts';
import { refusedLimit } from './cgroup/refused-limit.ts';
import type { RuntimeContext } from './context.ts';
import { type Creation, isSameRequest } from './creations.ts';
import { deferred } from './deferred.ts';
import { now } from './events.ts';
import { fromNative } from './native-failure.ts';
import { exitDir } from './paths.ts';
import { readHostFiles, writePodFiles } from './pod-files.ts';
import { networkNeeds } from './pod-network.ts';
import { refuseWhileClosing } from './preconditions.ts';
import { releaseSandbox } from './release-sandbox.ts';
import { removeSandbox } from './remove-sandbox.ts';
import { checkRuntimeHandler } from './runtime-handlers.ts';
import { startPod } from './start-monitor.ts';
import { limitPod } from './update-pod-resources.ts';
import { requireUserNamespaces } from './user-namespace-check.ts';
import { watchMonitor } from './watch-monitor.ts';

/**
 * Makes a pod sandbox: its record first, so that a crash leaves something to clean (SB-2), then
 * its monitor with the pod's namespaces, then its network, of which what needs no namespace is done
 * meanwhile, then READY. A failure undoes all of it.
 *
 * A second call for the same pod joins the first, and one that comes later, as after a restart,
 * gets the id of what the first has made, as long as it is ready and empty (CR-18).
 */
export async function runSandbox(
  ctx: RuntimeContext,
  config: SandboxConfig,
  handler = '',
  signal?: AbortSignal,
): Promise<string> {
  refuseWhileClosing(ctx);
  checkRuntimeHandler('runtime_handler', handler);
  requireUserNamespaces(ctx.host, config);
  const name = sandboxName(config);
  const abandoned = new AbortController();
  const creation: Creation = {
    sandboxId: '',
    request: { config, handler },
    find: () => findUntouched(ctx, name, config, handler),
    make: async (clash) => {
      if (!clash) await removeHalfMade(ctx, name);
      return makeSandbox(ctx, name, config, handler, abandoned);
    },
    undo: (id) =>
      removeSandbox(ctx, id).catch((error: unknown) => {
        ctx.log.error({ id, err: error }, 'a pod whose creator has gone could not be undone');
      }),
    abandon: (reason) => abandoned.abort(reason),
  };
  return ctx.creations.run(`sandbox ${name}`, creation, signal);
}

/** What an identical request has made, where nothing has been made in it. */
function findUntouched(
  ctx: RuntimeContext,
  name: string,
  config: SandboxConfig,
  handler: string,
): string | undefined {
  const sandbox = holderOf(ctx, name);
  if (sandbox?.state !== 'ready' || sandbox.stopping || sandbox.removal) return undefined;
  const { id, runtimeHandler, config: made } = sandbox.record;
  const same = runtimeHandler === handler && isSameRequest(made, config);
  const used = ctx.containers.list().some(({ record }) => record.sandboxId === id);
  return same && !used ? id : undefined;
}

/** The sandbox that has a name, once it is recorded. */
function holderOf(ctx: RuntimeContext, name: string): Sandbox | undefined {
  const id = ctx.sandboxNames.holder(name);
  return id !== undefined && ctx.sandboxes.has(id) ? ctx.sandboxes.get(id) : undefined;
}

/** One that never was ready, and could not be undone, has been told to nobody: it gives way. */
async function removeHalfMade(ctx: RuntimeContext, name: string): Promise<void> {
  const sandbox = holderOf(ctx, name);
  if (!sandbox || sandbox.record.monitorPid !== undefined) return;
  await removeSandbox(ctx, sandbox.record.id);
}

async function makeSandbox(
  ctx: RuntimeContext,
  name: string,
  config: SandboxConfig,
  handler: string,
  abandoned: AbortController,
): Promise<string> {
  const setup = sandboxSetup(config);
  const needs = networkNeeds(config);
  const { signal } = abandoned;
  const id = ctx.spares.nextId(setup);
  ctx.sandboxNames.reserve(name, id);
  const spare = ctx.spares.take(id);
  if (spare) ctx.monitors.adopt(id, spare);
  const record: SandboxRecord = {
    id,
    name,
    config,
    runtimeHandler: handler,
    createdAt: now(),
    cgroupPath: podCgroup(config, id),
    bootId: ctx.host.bootId,
    network: null,
    stoppedAt: 0n,
  };
  let sandbox: Sandbox | undefined;
  const making = deferred<void>();
  try {
    sandbox = await ctx.sandboxes.add(record);
    const durable = ctx.store.flushed();
    // It may fail while something else does.
    durable.catch(() => {});
    const hostFiles = readHostFiles(config);
    sandbox.making = { over: making.promise, abandon: () => abandoned.abort(stoppedMeanwhile(id)) };
    if (!spare) mkdirSync(exitDir(ctx.options, id), { recursive: true, mode: 0o700 });
    await limitPod(ctx, record);
    throwIfUnwanted(sandbox, signal);
    const check = throwIfUnwanted.bind(undefined, sandbox, signal);
    const started = startPod(ctx, id, setup, { spare, check });
    // What a network plugin keeps outlives a loss of power: so must what tells of it.
    const made = Promise.all([started, durable]).then(([{ monitor }]) => monitor.connection);
    const attached = needs
      ? ctx.network.attach({ ...needs, sandboxId: id, monitor: made, signal })
      : { ips: [] };
    // None goes on while what the others have begun is undone.
    await Promise.allSettled([started, made, attached]);
    const { pid: monitorPid } = await made;
    const { monitor, reaperPid } = await started;
    throwIfUnwanted(sandbox, signal);
    const network = await attached;
    throwIfUnwanted(sandbox, signal);
    await writePodFiles(ctx, record, network, await hostFiles);
    throwIfUnwanted(sandbox, signal);
    await sandbox.ready({ ...record, network, monitorPid, reaperPid });
    ctx.events.emitPod('created', sandbox);
    ctx.events.emitPod('started', sandbox);
    watchMonitor(ctx, sandbox, monitor);
    ctx.spares.podMade(ctx, setup);
    return id;
  } catch (error) {
    // Of a runtime that has let go, the next recovery undoes it.
    if (!ctx.closing) {
      await releaseSandbox(ctx, record).catch((cleanup: unknown) => {
        ctx.log.error({ id, err: cleanup }, 'a failed sandbox left something behind');
        // Without a record nobody can remove it, and it may hold up nobody.
        if (!sandbox) ctx.sandboxNames.releaseId(id);
      });
    }
    // What a stop breaks off fails in ways of its own, such as a monitor that is shutting down.
    if (sandbox) throwIfUnwanted(sandbox, signal);
    throw fromNative(refusedLimit(ctx.cgroups, error), 'Internal');
  } finally {
    if (sandbox) sandbox.making = undefined;
    making.resolve();
  }
}

/** Its callers have gone, or somebody stops the pod already: it may be seen from the start. */
function throwIfUnwanted(sandbox: Sandbox, signal: AbortSignal): void {
  throwIfAborted(signal);
  if (sandbox.stopping) throw stoppedMeanwhile(sandbox.record.id);
}

function stoppedMeanwhile(id: string): CoracleError {
  return new CoracleError('FailedPrecondition', `sandbox ${id} was stopped while it was made`);
}

/** Unique among sandboxes: a retry of the same pod has another attempt (SS-13). */
function sandboxName(config: SandboxConfig): string {
  return [config.name, config.namespace, config.uid, config.attempt].join('_');
}
