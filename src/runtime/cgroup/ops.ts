/** The file operations that make a container's cgroup, change its limits and remove it. Pure. */
import { dirname, join } from 'node:path';
import { CoracleError, invalid, quote } from '../../errors.ts';
import type { FileOp } from '../../native/types.ts';
import type { Resources } from '../../spec/oci.ts';
import type { CgroupLayout } from './layout.ts';
import { cgroupDirs } from './paths.ts';
import { v1Devices, v1Limits } from './v1.ts';
import { v2Limits, v2Unified } from './v2.ts';

/**
 * What a cpuset of v1 starts with: a new one is empty, and nothing can join an empty one. The
 * values are those of the cgroup `from`, below which every level gets them.
 */
export interface CpusetSeed {
  from: string;
  cpus: string;
  mems: string;
}

/** Those of v2 that are handed down to containers where the host has them. */
const HANDED_DOWN = ['cpuset', 'io', 'memory', 'pids', 'hugetlb'];

/**
 * Makes the cgroup in every hierarchy, its parents included, and sets the limits. On a host
 * without v1 devices the rules are for `Addon.attachDeviceProgram`.
 * Throws FailedPrecondition for a limit whose controller the host lacks.
 */
export function cgroupCreateOps(
  layout: CgroupLayout,
  path: string,
  resources: Resources,
  seed?: CpusetSeed,
): FileOp[] {
  requireControllers(layout, resources);
  const ops: FileOp[] = [];
  for (const { root, controllers } of layout.v1) {
    const dir = join(root, path);
    if (controllers.includes('cpuset') && seed !== undefined) {
      ops.push(...cpusetOps(root, path, seed));
    } else {
      ops.push({ op: 'mkdir', path: dir, mode: 0o755, parents: true });
    }
    for (const controller of controllers) ops.push(...v1Limits(controller, dir, resources));
    if (controllers.includes('devices')) ops.push(...v1Devices(dir, resources.devices ?? []));
  }
  if (layout.v2 !== undefined) {
    ops.push(...handDown(layout.v2, dirname(path)));
    const dir = join(layout.v2.root, path);
    ops.push({ op: 'mkdir', path: dir, mode: 0o755, parents: true });
    ops.push(...v2Writes(layout.v2, dir, resources));
  }
  return ops;
}

/**
 * Sets the limits of an existing cgroup anew; what `resources` leaves out stays as it is.
 * `previous` is what was set before, by which the order of dependent values is found.
 */
export function cgroupUpdateOps(
  layout: CgroupLayout,
  path: string,
  resources: Resources,
  previous: Resources,
): FileOp[] {
  requireControllers(layout, resources);
  const ops = layout.v1.flatMap(({ root, controllers }) =>
    controllers.flatMap((controller) =>
      v1Limits(controller, join(root, path), resources, previous),
    ),
  );
  if (layout.v2 !== undefined) {
    ops.push(...v2Writes(layout.v2, join(layout.v2.root, path), resources));
  }
  return ops;
}

/** Removes the cgroup and those below it, in which no process is any more. */
export function cgroupRemoveOps(layout: CgroupLayout, path: string): FileOp[] {
  return cgroupDirs(layout, path).map((dir) => ({ op: 'rmdir', path: dir, below: true }));
}

function v2Writes(
  v2: NonNullable<CgroupLayout['v2']>,
  dir: string,
  resources: Resources,
): FileOp[] {
  // "cgroup" is no controller, but its files (cgroup.max.depth) are limits like others.
  return [...v2.controllers, 'cgroup'].flatMap((controller) => [
    ...v2Limits(controller, dir, resources),
    ...v2Unified(controller, dir, resources),
  ]);
}

function cpusetOps(root: string, path: string, seed: CpusetSeed): FileOp[] {
  const ops: FileOp[] = [];
  const known = parts(seed.from).length;
  let dir = join(root, seed.from);
  for (const part of parts(path).slice(known)) {
    dir = join(dir, part);
    ops.push(
      { op: 'mkdir', path: dir, mode: 0o755, parents: false },
      // Memory nodes first: with CPUs alone the cgroup could already be joined, and fail.
      { op: 'write', path: `${dir}/cpuset.mems`, value: seed.mems, optional: false },
      { op: 'write', path: `${dir}/cpuset.cpus`, value: seed.cpus, optional: false },
    );
  }
  return ops;
}

/**
 * Every level above the container's hands its controllers on. "cpu" goes by itself: the kernel
 * refuses it while real-time processes are about, and would refuse the others with it. A limit
 * that then has no file says so by itself.
 */
function handDown(v2: NonNullable<CgroupLayout['v2']>, parent: string): FileOp[] {
  const others = HANDED_DOWN.filter((name) => v2.controllers.includes(name));
  const values = [
    ...(v2.controllers.includes('cpu') ? ['+cpu'] : []),
    ...(others.length > 0 ? [others.map((name) => `+${name}`).join(' ')] : []),
  ];
  const ops: FileOp[] = [];
  let dir = v2.root;
  for (const part of ['', ...parts(parent)]) {
    dir = join(dir, part);
    if (part !== '') ops.push({ op: 'mkdir', path: dir, mode: 0o755, parents: false });
    for (const value of values) {
      ops.push({ op: 'write', path: `${dir}/cgroup.subtree_control`, value, optional: true });
    }
  }
  return ops;
}

function requireControllers(layout: CgroupLayout, resources: Resources): void {
  const { cpu = {}, memory = {}, pids, hugepageLimits = [], unified = {} } = resources;
  const has = (controller: string) => cgroupDirs(layout, '/', controller).length > 0;
  const need = (controller: string, limit: string) => {
    if (has(controller)) return;
    throw new CoracleError(
      'FailedPrecondition',
      `resources.${limit}: this host has no ${controller} cgroup controller`,
    );
  };
  if (cpu.shares !== undefined) need('cpu', 'cpuShares');
  if (cpu.quota !== undefined && cpu.quota > 0) need('cpu', 'cpuQuota');
  if (cpu.cpus !== undefined) need('cpuset', 'cpusetCpus');
  if (cpu.mems !== undefined) need('cpuset', 'cpusetMems');
  if (memory.limit !== undefined && memory.limit > 0) need('memory', 'memoryLimit');
  if (pids !== undefined && pids.limit > 0) need('pids', 'pidsLimit');
  // A limit of no huge pages holds where there can be none.
  if (hugepageLimits.some(({ limit }) => limit > 0)) need('hugetlb', 'hugepageLimits');
  for (const [file, value] of Object.entries(unified)) {
    const controller = file.slice(0, file.indexOf('.'));
    const ours = controller === 'cgroup' || layout.v2?.controllers.includes(controller);
    if (layout.v2 === undefined || !ours) {
      const field = `resources.unified[${quote(file)}]`;
      throw invalid(field, value, 'is of no cgroup v2 controller of this host');
    }
  }
}

function parts(path: string): string[] {
  return path.split('/').filter(Boolean);
}
