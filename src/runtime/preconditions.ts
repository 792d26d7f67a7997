import { CoracleError, invalid } from '../errors.ts';
import { stateOf } from '../store/container-status.ts';
import type { Container } from '../store/containers.ts';
import type { Sandbox } from '../store/sandboxes.ts';
import type { ContainerRecord } from '../store/types.ts';
import type { RuntimeContext } from './context.ts';
import type { PodMonitor } from './monitors.ts';

/** Nothing new begins in a runtime that lets go: what its closing waits for would never end. */
export function refuseWhileClosing(ctx: RuntimeContext): void {
  if (ctx.draining) throw new CoracleError('Unavailable', 'the runtime is being closed');
}

/** A command that is to be run in a container names at least its program. */
export function requireCommand(argv: readonly string[]): void {
  if (argv.length === 0) throw invalid('cmd', argv, 'must name a command');
}

/** The sandbox and its monitor, if containers may be made and started in it now (ST-10, CR-1). */
export function requireReadySandbox(
  ctx: RuntimeContext,
  id: string,
): { sandbox: Sandbox; monitor: PodMonitor } {
  const sandbox = ctx.sandboxes.get(id);
  const monitor = ctx.monitors.find(sandbox.record.id);
  if (sandbox.stopping || sandbox.state !== 'ready' || !monitor) {
    throw new CoracleError(
      'FailedPrecondition',
      `sandbox ${sandbox.record.id} is ${sandbox.stopping ? 'being stopped' : 'not ready'}`,
    );
  }
  return { sandbox, monitor };
}

/** A container whose PID namespace is shared must run when it is joined (ST-11, CR-16). */
export function requireRunningTarget(ctx: RuntimeContext, record: ContainerRecord): void {
  const security = record.config.security;
  if (security?.pid !== 'target') return;
  const target = ctx.containers.get(security.targetId ?? '');
  if (target.record.sandboxId !== record.sandboxId) {
    throw new CoracleError(
      'InvalidArgument',
      `targetId: container ${target.record.id} is in another sandbox`,
    );
  }
  requireRunning(ctx, target.record.id, 'target container');
}

/** The container, if it runs now (XS-1). */
export function requireRunning(ctx: RuntimeContext, id: string, what = 'container'): Container {
  const container = ctx.containers.get(id);
  const state = stateOf(container.status.get());
  if (state !== 'running') {
    throw new CoracleError(
      'FailedPrecondition',
      `${what} ${container.record.id} is in ${state} state`,
    );
  }
  return container;
}
