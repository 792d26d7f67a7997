/** The LaunchPlan: what a monitor needs to make one process. Types only. */

/** One step of a launch, in the order of execution. See native/plan/steps.h for the semantics. */
export type Step =
  /** `file` is a cgroup v1 `tasks` file of the host. */
  | { op: 'joinCgroup'; file: string }
  | { op: 'unshare'; flags: number }
  | { op: 'joinNamespaces'; flags: number }
  | { op: 'hostname'; name: string }
  /** Paths relative to the runtime's root directory; `lower` has the topmost layer first. */
  | { op: 'overlay'; lower: string[]; upper: string; work: string; options: string }
  /** `source` is a host directory. */
  | { op: 'rootBind'; source: string }
  | {
      op: 'mount';
      type: string;
      source: string;
      target: string;
      attributes: number;
      options: string;
    }
  /** `source` is a host path, opened (open_tree) by the addon when the plan is launched. */
  | {
      op: 'bind';
      source: string;
      recursive: boolean;
      target: string;
      attributesSet: number;
      attributesClear: number;
      recursiveAttributes: boolean;
      propagation: number;
    }
  | { op: 'podShm'; target: string }
  | { op: 'mkdir'; target: string; mode: number; uid: number; gid: number }
  | {
      op: 'mknod';
      target: string;
      mode: number;
      major: number;
      minor: number;
      uid: number;
      gid: number;
    }
  | { op: 'symlink'; content: string; target: string }
  | { op: 'console'; rows: number; cols: number; bindConsole: boolean }
  | { op: 'pivot'; readonly: boolean }
  | { op: 'mask'; target: string }
  | { op: 'readonlyPath'; target: string }
  | { op: 'sysctl'; name: string; value: string }
  | { op: 'rlimit'; resource: number; soft: bigint; hard: bigint; clamp: boolean }
  | { op: 'oomScoreAdj'; value: number }
  | { op: 'user'; user: string; group: string; mergeGroups: boolean; extraGroups: number[] }
  | {
      op: 'capabilities';
      bounding: bigint;
      effective: bigint;
      permitted: bigint;
      inheritable: bigint;
      ambient: bigint;
    }
  | { op: 'noNewPrivs' }
  /** `program` is an array of struct sock_filter, as compileSeccomp returns it. */
  | { op: 'seccomp'; program: Uint8Array; flags: number }
  | { op: 'cwd'; path: string; create: boolean }
  | { op: 'umask'; mask: number }
  /** Before the pivot. Layers as in `overlay`; an empty `subPath` means the whole image. */
  | { op: 'imageMount'; lower: string[]; subPath: string; target: string; attributes: number }
  /** `module` is "apparmor"; `value` is what its attribute `exec` takes. */
  | { op: 'lsmProfile'; module: string; value: string }
  | { op: 'execve'; argv: string[]; env: string[] }
  | { op: 'actAsPodRoot' }
  | { op: 'joinUserNamespace'; flags: number };

/** The ids 0 to `length` − 1 of a user namespace, and what id 0 is in the host. */
export interface IdMap {
  hostId: number;
  length: number;
}

/** The two maps of a user namespace (user_namespaces(7)). */
export interface IdMaps {
  uids: IdMap;
  gids: IdMap;
}

/** Everything a monitor needs to make one process, but its stdio. Pure data. */
export interface LaunchPlan {
  id: string;
  /** The container an exec enters, or whose PID namespace is joined (pidMode 'target'). */
  parent: string;
  exec: boolean;
  /** CLONE_NEW* of clone3(2) but CLONE_NEWPID. */
  cloneFlags: number;
  pidMode: 'new' | 'pod' | 'target' | 'host';
  terminal: boolean;
  /** Directory of a cgroup v2 to be cloned into; empty for none. */
  intoCgroup: string;
  /** cgroup.kill (v2, opened for writing) or cgroup.procs (v1, for reading); empty for none. */
  killCgroup: string;
  /** End every process of the cgroup once this one has exited. */
  killCgroupOnExit: boolean;
  steps: Step[];
}
