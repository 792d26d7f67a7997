/** From an OCI runtime specification to the plan of a container's first process. */
import type { IdMaps, LaunchPlan, Step } from '../../native/types.ts';
import type { Spec } from '../../spec/oci.ts';
import { idMapsOf } from '../../spec/user-namespace.ts';
import type { CgroupLayout } from '../cgroup/layout.ts';
import { intoCgroup, joinFiles, killFile } from '../cgroup/paths.ts';
import { CLONE_NEWCGROUP, CLONE_NEWNS } from './constants.ts';
import { processSteps } from './process-steps.ts';
import { maskSteps, mountSteps } from './root-steps.ts';

export interface LaunchContext {
  /** The container's id. */
  id: string;
  cgroup: CgroupLayout;
  /** Paths relative to the runtime's root directory; `lower` has the topmost layer first. */
  snapshot: { lower: string[]; upper: string; work: string; options?: string };
  pidMode: LaunchPlan['pidMode'];
  /** The container whose PID namespace is joined, with pidMode 'target'. */
  target?: string;
  /** The compiled `spec.linux.seccomp`. */
  seccompProgram?: Uint8Array;
}

/** What a terminal has until a client says how large it is. */
const TERMINAL = { rows: 24, cols: 80 };

/**
 * The plan; pure. The monitor has the pod's network, IPC and UTS namespaces already, and the
 * child inherits them. The cgroup namespace is made by the child once it is in its cgroup: its
 * root is the cgroup of whoever makes it. In a pod with a user namespace a second one, which
 * belongs to that, takes its place at the end, as a copy of the mounts does.
 */
export function launchPlan(spec: Spec, context: LaunchContext): LaunchPlan {
  const { terminal, cwd } = spec.process;
  const path = spec.linux.cgroupsPath;
  const ownCgroup = spec.linux.namespaces.some(({ type }) => type === 'cgroup');
  const maps = idMapsOf(spec.linux);
  const steps: Step[] = [
    ...joinFiles(context.cgroup, path).map((file): Step => ({ op: 'joinCgroup', file })),
    ...(maps ? [{ op: 'actAsPodRoot' } as const] : []),
    ...(ownCgroup ? [{ op: 'unshare', flags: CLONE_NEWCGROUP } as const] : []),
    {
      op: 'overlay',
      lower: context.snapshot.lower,
      upper: context.snapshot.upper,
      work: context.snapshot.work,
      options: context.snapshot.options ?? '',
    },
    ...mountSteps(spec, context.cgroup),
    ...(terminal ? [{ op: 'console', ...TERMINAL, bindConsole: true } as const] : []),
    ...Object.entries(spec.linux.sysctl).map(
      ([name, value]): Step => ({ op: 'sysctl', name, value }),
    ),
    // While the child may write everywhere and the root is not yet read-only: an image's working
    // directory is made where it is missing (OCI image specification, "WorkingDir").
    ...(cwd === '/' ? [] : [directory(cwd, maps)]),
    ...maskSteps(spec),
    { op: 'pivot', readonly: spec.root.readonly },
    ...processSteps({
      process: spec.process,
      seccomp: spec.linux.seccomp,
      seccompProgram: context.seccompProgram,
      userNamespace: maps && { flags: CLONE_NEWNS | (ownCgroup ? CLONE_NEWCGROUP : 0) },
    }),
  ];
  return {
    id: context.id,
    parent: context.pidMode === 'target' ? (context.target ?? '') : '',
    exec: false,
    cloneFlags: CLONE_NEWNS,
    pidMode: context.pidMode,
    terminal,
    intoCgroup: intoCgroup(context.cgroup, path),
    killCgroup: killFile(context.cgroup, path),
    // In its own PID namespace the kernel ends the others with the first process.
    killCgroupOnExit: context.pidMode !== 'new',
    steps,
  };
}

function directory(target: string, maps: IdMaps | undefined): Step {
  const owner = { uid: maps?.uids.hostId ?? 0, gid: maps?.gids.hostId ?? 0 };
  return { op: 'mkdir', target, mode: 0o755, ...owner };
}
