import { join } from 'node:path';
import type { PreparedPlan } from '../native/types.ts';
import { pidMode } from '../spec/namespaces.ts';
import type { Spec } from '../spec/oci.ts';
import type { ContainerRecord } from '../store/types.ts';
import type { RuntimeContext } from './context.ts';
import { currentSpec } from './current-spec.ts';
import type { ExecRequest } from './exec.ts';
import { timed } from './launch-phases.ts';
import { snapshotDir } from './paths.ts';
import { execPlan } from './plan/exec-plan.ts';
import { launchPlan } from './plan/launch-plan.ts';

/** The encoded plan of a container's first process: made at create, again after a restart. */
export function preparedPlan(ctx: RuntimeContext, record: ContainerRecord): Promise<PreparedPlan> {
  const live = ctx.live.of(record.id);
  live.plan ??= timed(() => prepare(ctx, record)).then(([seconds, plan]) => {
    live.phases.plan = seconds;
    return plan;
  });
  return live.plan;
}

async function prepare(ctx: RuntimeContext, record: ContainerRecord): Promise<PreparedPlan> {
  const { id, layers, config } = record;
  const sandbox = ctx.sandboxes.get(record.sandboxId);
  const dir = snapshotDir(id);
  const targetId = config.security?.targetId;
  const plan = launchPlan(specOf(ctx, record), {
    id,
    cgroup: ctx.cgroups,
    snapshot: { lower: layers, upper: join(dir, 'upper'), work: join(dir, 'work') },
    pidMode: pidMode(sandbox.record.config, config),
    ...(targetId ? { target: ctx.containers.get(targetId).record.id } : {}),
    ...(await seccompProgram(ctx, record)),
  });
  return ctx.addon.preparePlan(plan);
}

/**
 * The encoded plan of whatever command is run in the container: its arguments come with the run.
 * It is kept, since probes come every second, until an update of limits changes it.
 */
export function preparedRun(ctx: RuntimeContext, record: ContainerRecord): Promise<PreparedPlan> {
  const live = ctx.live.of(record.id);
  const { resources } = ctx.containers.get(record.id).status.get();
  if (live.runs && live.runs.resources === resources) return live.runs.plan;
  const plan = prepareExec(ctx, record, record.id, { argv: [''] });
  live.runs = { plan, resources };
  // A failure is not kept: it may have been the memory or the disk.
  plan.catch(() => {
    if (live.runs?.plan === plan) live.runs = undefined;
  });
  return plan;
}

/** The encoded plan of a command that enters the container. */
export async function prepareExec(
  ctx: RuntimeContext,
  record: ContainerRecord,
  id: string,
  request: Omit<ExecRequest, 'stdio'>,
): Promise<PreparedPlan> {
  const sandbox = ctx.sandboxes.get(record.sandboxId);
  const { argv, tty = false, env, workingDir, user } = request;
  const plan = execPlan(
    specOf(ctx, record),
    {
      id,
      parentId: record.id,
      argv,
      tty,
      ...(env ? { env } : {}),
      ...(workingDir ? { cwd: workingDir } : {}),
      ...(user ? { user } : {}),
    },
    {
      cgroup: ctx.cgroups,
      pidMode: pidMode(sandbox.record.config, record.config),
      ...(await seccompProgram(ctx, record)),
    },
  );
  return ctx.addon.preparePlan(plan);
}

/** With the updates of its limits; a container that is being created has none yet. */
function specOf(ctx: RuntimeContext, record: ContainerRecord): Spec {
  const container = ctx.containers.has(record.id) ? ctx.containers.get(record.id) : undefined;
  return currentSpec(record, container?.status.get().resources);
}

async function seccompProgram(
  ctx: RuntimeContext,
  record: ContainerRecord,
): Promise<{ seccompProgram?: Uint8Array }> {
  const { seccomp } = record.spec.linux;
  return seccomp ? { seccompProgram: await ctx.seccomp.program(seccomp) } : {};
}
