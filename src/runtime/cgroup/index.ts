/**
 * The cgroups of containers, for the runtime: the pure operations, joined with the little that
 * must be looked up first. What is looked up lies in cgroupfs, in memory, so it is read at once.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { failpoint } from '../../failpoint.ts';
import type { FileOp } from '../../native/types.ts';
import type { SandboxConfig } from '../../spec/config.ts';
import type { Resources } from '../../spec/oci.ts';
import type { CgroupLayout } from './layout.ts';
import { type CpusetSeed, cgroupCreateOps, cgroupRemoveOps } from './ops.ts';
import { ownsPodCgroup } from './paths.ts';

export { type CgroupLayout, readCgroupLayout } from './layout.ts';
export { cgroupUpdateOps as updateOps } from './ops.ts';
export {
  cgroupDirs,
  containerCgroup,
  intoCgroup,
  joinFiles,
  killFile,
  ownsPodCgroup,
  podCgroup,
} from './paths.ts';
export { deviceProgramRules } from './v2.ts';

/**
 * Makes a container's cgroup with the limits of `spec.linux.resources`.
 * Throws FailedPrecondition for a limit whose controller the host lacks.
 */
export function createOps(layout: CgroupLayout, path: string, resources: Resources): FileOp[] {
  failpoint('cgroup.make');
  return cgroupCreateOps(layout, path, resources, cpusetSeed(layout, path));
}

/**
 * Removes a container's cgroup with those that its processes made below it (an init system in a
 * container does). All of its processes must have ended.
 */
export function removeOps(layout: CgroupLayout, path: string): FileOp[] {
  failpoint('cgroup.remove');
  return cgroupRemoveOps(layout, path);
}

/**
 * Removes a pod's cgroup where it is ours: one that the caller named stays. What a crash left of
 * containers below it, which have no record, goes too.
 */
export function removePodOps(
  layout: CgroupLayout,
  path: string,
  config: Pick<SandboxConfig, 'cgroupParent'>,
): FileOp[] {
  return ownsPodCgroup(config) ? removeOps(layout, path) : [];
}

/** The values of the nearest ancestor that has any; undefined without a v1 cpuset hierarchy. */
export function cpusetSeed(layout: CgroupLayout, path: string): CpusetSeed | undefined {
  const hierarchy = layout.v1.find(({ controllers }) => controllers.includes('cpuset'));
  if (hierarchy === undefined) return undefined;
  for (let from = dirname(path); ; from = dirname(from)) {
    const cpus = read(join(hierarchy.root, from, 'cpuset.cpus'));
    const mems = read(join(hierarchy.root, from, 'cpuset.mems'));
    if ((cpus !== '' && mems !== '') || from === '/') return { from, cpus, mems };
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return '';
  }
}
