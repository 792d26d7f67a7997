/** Where the cgroups of pods and containers are, and by which files processes get in and end. */
import { join } from 'node:path';
import { invalid } from '../../errors.ts';
import type { SandboxConfig } from '../../spec/config.ts';
import type { CgroupLayout } from './layout.ts';

/** Below it, a pod's cgroup is our own; below any other parent only the containers' are. */
const DEFAULT_PARENT = '/coracle';

/**
 * A pod's cgroup, which holds its containers' ones: what the caller names (for Kubernetes the
 * kubelet's own, "/kubepods/burstable/podUID") or one that we make and remove.
 * Throws InvalidArgument for a path that is none, and for a systemd slice.
 */
export function podCgroup(config: Pick<SandboxConfig, 'cgroupParent'>, sandboxId: string): string {
  const parent = config.cgroupParent ?? '';
  if (parent === '') return `${DEFAULT_PARENT}/${sandboxId}`;
  const parts = parent.split('/').slice(1);
  const bad = !parent.startsWith('/') || /[\0\n]/.test(parent);
  if (bad || parts.some((part) => part === '.' || part === '..')) {
    throw invalid('cgroupParent', parent, 'is not a path of the cgroupfs driver: "/parent/child"');
  }
  return `/${parts.filter(Boolean).join('/')}`;
}

/** Whether `podCgroup` is ours to remove. */
export function ownsPodCgroup(config: Pick<SandboxConfig, 'cgroupParent'>): boolean {
  return (config.cgroupParent ?? '') === '';
}

export function containerCgroup(podPath: string, id: string): string {
  return join(podPath, id);
}

/** The directories of a cgroup, in every hierarchy or in those that have this controller. */
export function cgroupDirs(layout: CgroupLayout, path: string, controller?: string): string[] {
  const has = (of: string[]) => controller === undefined || of.includes(controller);
  const dirs = layout.v1.filter(({ controllers }) => has(controllers)).map(({ root }) => root);
  if (layout.v2 !== undefined && has(layout.v2.controllers)) dirs.push(layout.v2.root);
  return dirs.map((root) => join(root, path));
}

/**
 * The v1 files by which a single-threaded process joins: `tasks` takes one thread and, unlike
 * cgroup.procs, no lock of the whole system.
 */
export function joinFiles(layout: CgroupLayout, path: string): string[] {
  return layout.v1.map(({ root }) => join(root, path, 'tasks'));
}

/** The v2 directory for CLONE_INTO_CGROUP; empty where there is no v2 hierarchy. */
export function intoCgroup(layout: CgroupLayout, path: string): string {
  return layout.v2 === undefined ? '' : join(layout.v2.root, path);
}

/**
 * What ends every process of the cgroup: cgroup.kill (v2, Linux 5.14), else the list of a v1
 * hierarchy that holds them all.
 */
export function killFile(layout: CgroupLayout, path: string): string {
  if (layout.v2 !== undefined) return join(layout.v2.root, path, 'cgroup.kill');
  const holder = layout.v1.find(({ controllers }) => controllers.includes('pids')) ?? layout.v1[0];
  return holder === undefined ? '' : join(holder.root, path, 'cgroup.procs');
}
