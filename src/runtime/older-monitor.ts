import { CoracleError } from '../errors.ts';
import type { ContainerConfig } from '../spec/config.ts';
import type { RuntimeContext } from './context.ts';

/**
 * Whether a pod's monitor was started by an older server, and lacks what came with version 2 of
 * the protocol: attach, mounts of images, security modules (native/plan/protocol.h).
 */
export function hasOlderMonitor(ctx: RuntimeContext, sandboxId: string): boolean {
  return ctx.monitors.find(sandboxId)?.attaches === false;
}

/**
 * Throws Unimplemented, naming the field, for what a pod's older monitor cannot do for a container.
 * AppArmor's default profile, where nobody asks for it, is left out instead: a container of a pod
 * that has run without it may be started again.
 */
export function checkOlderMonitor(
  ctx: RuntimeContext,
  sandboxId: string,
  { mounts = [], security = {} }: ContainerConfig,
): void {
  if (!hasOlderMonitor(ctx, sandboxId)) return;
  mounts.forEach(({ image }, index) => {
    if (image) throw tooOld(`mounts[${index}].image`, 'mount images');
  });
  const { apparmor } = security;
  if (apparmor && apparmor.type !== 'unconfined') {
    throw tooOld('security.apparmor', 'set AppArmor profiles');
  }
}

function tooOld(field: string, what: string): CoracleError {
  const pod = 'the pod was started by an older version, whose monitor cannot';
  return new CoracleError('Unimplemented', `${field}: ${pod} ${what}; a new pod can`);
}
