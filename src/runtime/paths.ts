import { join } from 'node:path';
import type { RuntimeOptions } from './context.ts';

/** Where pods have their directories, below `root` and below `state`. */
export const PODS = 'pods';

/** Where a runtime keeps what: `root` survives a reboot, `state` does not. */
export function podDir(options: RuntimeOptions, sandboxId: string): string {
  return join(options.state, PODS, sandboxId);
}

export function monitorSocket(options: RuntimeOptions, sandboxId: string): string {
  return join(podDir(options, sandboxId), 'monitor.sock');
}

export function exitDir(options: RuntimeOptions, sandboxId: string): string {
  return join(podDir(options, sandboxId), 'exits');
}

/**
 * The files that a pod's containers have in their /etc. Containers write to them, as much as they
 * like: on the disk that has their writable layers, too, and not on the tmpfs of `state`, which
 * they would fill for the whole host.
 */
export function podFilesDir(options: RuntimeOptions, sandboxId: string): string {
  return join(options.root, PODS, sandboxId);
}

/** Where the writable layers are, below `root`. */
export const CONTAINERS = 'containers';

/** The writable layer of a container, relative to `root` as a plan wants it. */
export function snapshotDir(containerId: string): string {
  return join(CONTAINERS, containerId);
}
