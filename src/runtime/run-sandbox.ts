import { mkdir } from 'node:fs/promises';
import { CoracleError, throwIfAborted } from '../errors.ts';
import { monitorExecutable } from '../native/addon.ts';
import type { SandboxConfig } from '../spec/config.ts';
import { sandboxSetup } from '../spec/sandbox-setup.ts';
import { newId } from '../store/ids.ts';
import type { Sandbox } from '../store/sandboxes.ts';
import type { SandboxRecord } from '../store/types.ts';
import { podCgroup } from './cgroup/index.ts';
import type { RuntimeContext } from './context.ts';
import { deferred } from './deferred.ts';
import { now } from './events.ts';
import { fromNative } from './native-failure.ts';
import { exitDir, monitorSocket } from './paths.ts';
import { writePodFiles } from './pod-files.ts';
import { networkNeeds } from './pod-network.ts';
import { releaseSandbox } from './release-sandbox.ts';
import { watchMonitor } from './watch-monitor.ts';

/** The one runtime handler there is; the empty name means it, too. */
export const HANDLERS = ['', 'native'] as const;

/**
 * Makes a pod sandbox: its record first, so that a crash leaves something to clean (SB-2), then
 * its monitor with the pod's namespaces, then its network, then READY. A failure undoes all of it.
 */
export async function runSandbox(
  ctx: RuntimeContext,
  config: SandboxConfig,
  handler = '',
  signal?: AbortSignal,
): Promise<string> {
  if (!(HANDLERS as readonly string[]).includes(handler)) {
    throw new CoracleError(
      'InvalidArgument',
      `runtime_handler: no runtime handler named ${JSON.stringify(handler)} is configured`,
    );
  }
  const setup = sandboxSetup(config);
  const needs = networkNeeds(config);
  const id = newId();
  const name = sandboxName(config);
  ctx.sandboxNames.reserve(name, id);
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
  const made = deferred<void>();
  const abandoned = new AbortController();
  try {
    sandbox = await ctx.sandboxes.add(record);
    sandbox.making = { over: made.promise, abandon: () => abandoned.abort(stoppedMeanwhile(id)) };
    await mkdir(exitDir(ctx.options, id), { recursive: true, mode: 0o700 });
    throwIfUnwanted(sandbox, signal);
    const connection = ctx.addon.startMonitor({
      executable: monitorExecutable(),
      podId: id,
      socket: monitorSocket(ctx.options, id),
    });
    const monitor = ctx.monitors.add(id, connection);
    const { reaperPid } = await connection.sandbox({
      ...setup,
      rootDir: ctx.options.root,
      exitDir: exitDir(ctx.options, id),
    });
    throwIfUnwanted(sandbox, signal);
    const network = needs
      ? await ctx.network.attach({
          ...needs,
          sandboxId: id,
          podPid: connection.pid,
          connection,
          signal: signal ? AbortSignal.any([signal, abandoned.signal]) : abandoned.signal,
        })
      : { ips: [] };
    throwIfUnwanted(sandbox, signal);
    await writePodFiles(ctx, record, network);
    throwIfUnwanted(sandbox, signal);
    await sandbox.ready({ ...record, network, monitorPid: connection.pid, reaperPid });
    watchMonitor(ctx, sandbox, monitor);
    return id;
  } catch (error) {
    await releaseSandbox(ctx, record).catch((cleanup: unknown) => {
      ctx.log.error({ id, err: cleanup }, 'a failed sandbox left something behind');
    });
    throw fromNative(error, 'Internal');
  } finally {
    if (sandbox) sandbox.making = undefined;
    made.resolve();
  }
}

/** The caller has gone, or somebody stops the pod already: it may be seen from the start. */
function throwIfUnwanted(sandbox: Sandbox, signal: AbortSignal | undefined): void {
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
