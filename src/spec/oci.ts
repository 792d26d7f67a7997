/**
 * The parts of the OCI runtime specification (v1.2, config.md and config-linux.md) that a
 * container here consists of. Hooks and the other platforms are left out.
 */
import type { SeccompSpec } from '../native/types.ts';

export interface Spec {
  ociVersion: string;
  root: { path: string; readonly: boolean };
  hostname?: string;
  process: Process;
  /** In the order of mounting. */
  mounts: Mount[];
  annotations?: Record<string, string>;
  linux: Linux;
}

export interface Process {
  terminal: boolean;
  user: ProcessUser;
  args: string[];
  /** "NAME=value"; a name occurs once. */
  env: string[];
  /** Absolute. */
  cwd: string;
  capabilities: CapabilitySets;
  rlimits: Rlimit[];
  noNewPrivileges: boolean;
  /** Name of a loaded profile. */
  apparmorProfile?: string;
  /** −1000 to 1000. */
  oomScoreAdj: number;
}

/**
 * The identity as asked for. Names are looked up in the container's own files when the process
 * is made, so `uid` and `gid` are 0 until then where a name was given; `username`, `groupname`
 * and `mergeGroups` are what the look-up goes by and are unknown to other runtimes.
 */
export interface ProcessUser {
  uid: number;
  gid: number;
  additionalGids: number[];
  /** Name or number; empty: root. */
  username: string;
  /** Name or number; empty: the user's primary group. */
  groupname: string;
  /** Add the groups whose member list in /etc/group names the user. */
  mergeGroups: boolean;
}

/** Names as in capabilities(7): "CAP_CHOWN". */
export interface CapabilitySets {
  bounding: string[];
  effective: string[];
  permitted: string[];
  inheritable: string[];
  ambient: string[];
}

/** `type` as "RLIMIT_NOFILE"; values in the unit of getrlimit(2), −1 for no limit. */
export interface Rlimit {
  type: string;
  soft: number;
  hard: number;
}

export interface Mount {
  destination: string;
  /** A file system, or "bind". */
  type: string;
  source: string;
  /** mount(8) options; what is no mount attribute goes to the file system. */
  options: string[];
  /** Of an "overlay": what is mounted. Unknown to other runtimes. */
  image?: ImageContent;
  /** Of a bind that is id-mapped: the container's own. */
  uidMappings?: IdMapping[];
  gidMappings?: IdMapping[];
}

/** A line of a map of user_namespaces(7). */
export interface IdMapping {
  containerID: number;
  hostID: number;
  size: number;
}

/** Layers of an image, and what of it is meant. */
export interface ImageContent {
  /** Directories below the runtime's root directory, the topmost first. */
  layers: string[];
  /** Empty: all of it. */
  subPath: string;
}

export interface Linux {
  namespaces: Namespace[];
  /** Of the user namespace, where there is one: one line each, for the ids from 0 on. */
  uidMappings?: IdMapping[];
  gidMappings?: IdMapping[];
  /** Below the root of each cgroup hierarchy. */
  cgroupsPath: string;
  resources: Resources;
  devices: Device[];
  sysctl: Record<string, string>;
  /** Absent: no filter. */
  seccomp?: SeccompSpec;
  maskedPaths: string[];
  readonlyPaths: string[];
  rootfsPropagation: 'private' | 'slave' | 'shared';
}

export interface Namespace {
  type: 'pid' | 'network' | 'mount' | 'ipc' | 'uts' | 'cgroup' | 'user';
  /** The namespace that is joined; absent: a new one. */
  path?: string;
}

export interface Device {
  path: string;
  type: 'c' | 'b';
  major: number;
  minor: number;
  /** Permission bits of chmod(2). */
  fileMode: number;
  /** The host's ids, also in a user namespace: a node of the host does not change hands. */
  uid: number;
  gid: number;
}

/** A rule of the device controller; an absent number stands for any. */
export interface DeviceCgroup {
  allow: boolean;
  type?: 'a' | 'b' | 'c';
  major?: number;
  minor?: number;
  /** Of "r", "w", "m". */
  access: string;
}

/** Limits in cgroup v1 terms, as the specification has them; absent means none. */
export interface Resources {
  devices?: DeviceCgroup[];
  cpu?: {
    /** 2–262144. */
    shares?: number;
    /** Microseconds in each period; −1 for no limit. */
    quota?: number;
    /** Microseconds. */
    period?: number;
    cpus?: string;
    mems?: string;
  };
  memory?: {
    /** Bytes; −1 for no limit. */
    limit?: number;
    /** Bytes of memory and swap together; −1 for no limit. */
    swap?: number;
  };
  /** A limit of 0 or less means none. */
  pids?: { limit: number };
  hugepageLimits?: { pageSize: string; limit: number }[];
  /** cgroup v2 file → value. */
  unified?: Record<string, string>;
}

/** The specification as JSON text; the 64-bit arguments of seccomp rules become numbers. */
export function specJson(spec: Spec): string {
  return JSON.stringify(spec, (_key, value: unknown) =>
    typeof value === 'bigint' ? Number(value) : value,
  );
}
