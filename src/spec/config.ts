/**
 * What a caller asks for: pod sandboxes and containers in Coracle's own terms.
 *
 * `cri/` translates and validates Kubernetes' messages into these; an embedding program writes
 * them directly. Everything is plain data that survives JSON, since it is persisted.
 */

import type { IdMaps } from '../native/types.ts';

/** Whose namespace: the pod's own, the container's own, the host's, or another container's. */
export type NamespaceMode = 'pod' | 'container' | 'node' | 'target';

export type SeccompProfile =
  | { type: 'runtimeDefault' }
  | { type: 'unconfined' }
  /** Path of a JSON profile on the host. */
  | { type: 'localhost'; path: string };

export type AppArmorProfile =
  | { type: 'runtimeDefault' }
  | { type: 'unconfined' }
  /** Name of a profile that is loaded on the host. */
  | { type: 'localhost'; name: string };

/** Resource limits; absent means no limit is set. */
export interface LinuxResources {
  /** Relative weight, cgroup v1 scale (2–262144). */
  cpuShares?: number;
  /** Microseconds of CPU time in each period; -1 for no limit. */
  cpuQuota?: number;
  /** Microseconds; 1000–1000000. */
  cpuPeriod?: number;
  cpusetCpus?: string;
  cpusetMems?: string;
  /** Bytes. */
  memoryLimit?: number;
  /** Bytes of memory and swap together; -1 for no limit. */
  memorySwapLimit?: number;
  oomScoreAdj?: number;
  pidsLimit?: number;
  /** Page size as "2MB", limit in bytes. */
  hugepageLimits?: { pageSize: string; limit: number }[];
  /** cgroup v2 file → value. */
  unified?: Record<string, string>;
}

/** What a pod takes as a whole. */
export interface PodResources {
  /** The sum of its containers' limits. */
  resources?: LinuxResources;
  /** What running the pod takes beside them. */
  overhead?: LinuxResources;
}

export interface PortMapping {
  protocol: 'tcp' | 'udp' | 'sctp';
  containerPort: number;
  hostPort: number;
  hostIp: string;
}

export interface DnsConfig {
  servers: string[];
  searches: string[];
  options: string[];
}

export interface SandboxConfig {
  name: string;
  namespace: string;
  uid: string;
  attempt: number;
  hostname?: string;
  /** Host directory of the pod's log files. */
  logDirectory?: string;
  dns?: DnsConfig;
  portMappings?: PortMapping[];
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  /** cgroupfs path below the hierarchy roots; default "/coracle". */
  cgroupParent?: string;
  sysctls?: Record<string, string>;
  /** Limits of the pod's cgroup where that is Coracle's own, without `cgroupParent`; else kept. */
  podResources?: PodResources;
  namespaces?: {
    /** 'none': a namespace of the pod's own with nothing but a loopback interface. */
    network?: 'pod' | 'node' | 'none';
    pid?: 'pod' | 'container' | 'node';
    ipc?: 'pod' | 'node';
  };
  /** A user namespace for the pod: its ids from 0 on, and what they are in the host. */
  userNamespace?: IdMaps;
  privileged?: boolean;
  /** Bytes; default 64 MiB. */
  shmSize?: number;
  /** End the pod when the process that made it goes away. */
  attached?: boolean;
}

/** What a mount may be kept from besides writing (mount(8)). */
export const MOUNT_FLAGS = ['noexec', 'nodev', 'nosuid'] as const;
export type MountFlag = (typeof MOUNT_FLAGS)[number];

/** An image whose content is mounted, read-only. */
export interface MountImage {
  /** A reference or id of a local image. */
  name: string;
  /** What is mounted of it, a directory or a file; default: all of it. */
  subPath?: string;
  /** What the author wrote where `name` is something else. Shown in statuses. */
  userSpecifiedImage?: string;
  /** Shown in statuses. */
  imageAnnotations?: Record<string, string>;
}

/** A mount of a file or directory of the host, or of an image: one of the two. */
export interface MountConfig {
  containerPath: string;
  hostPath?: string;
  image?: MountImage;
  readonly?: boolean;
  /** Mounts below it are read-only, too; with `readonly` and private propagation alone. */
  recursiveReadonly?: boolean;
  /** With `recursiveReadonly` these hold for the mounts below, too. */
  flags?: MountFlag[];
  /** Make a missing `hostPath`: a directory of root's, mode 0755, that stays. */
  createHostPath?: boolean;
  /** What is not private needs a `hostPath` on a mount that is shared, or for rslave a slave. */
  propagation?: 'private' | 'rslave' | 'rshared';
  /** In a pod with a user namespace: ids on the disk are those of the pod, root's are its root's. */
  mapIds?: boolean;
}

export interface DeviceConfig {
  containerPath: string;
  hostPath: string;
  /** Of "r", "w", "m". */
  permissions: string;
}

export interface SecurityConfig {
  privileged?: boolean;
  /** Names without "CAP_", or "ALL". */
  addCapabilities?: string[];
  dropCapabilities?: string[];
  addAmbientCapabilities?: string[];
  pid?: NamespaceMode;
  /** Container whose PID namespace is joined, where pid is 'target'. */
  targetId?: string;
  runAsUser?: number;
  runAsGroup?: number;
  runAsUsername?: string;
  supplementalGroups?: number[];
  /** 'strict' ignores the groups that the image's /etc/group adds. Default 'merge'. */
  supplementalGroupsPolicy?: 'merge' | 'strict';
  readonlyRootfs?: boolean;
  noNewPrivs?: boolean;
  /** Absent: the default lists. Empty: none. */
  maskedPaths?: string[];
  readonlyPaths?: string[];
  seccomp?: SeccompProfile;
  /** Absent: the default profile where the host has AppArmor, and none if `privileged`. */
  apparmor?: AppArmorProfile;
}

export interface ContainerConfig {
  name: string;
  attempt: number;
  /** A reference or id of a local image. */
  image: string;
  /** What the author wrote where `image` is something else, an id for one. Shown in statuses. */
  userSpecifiedImage?: string;
  /** Shown in statuses. */
  imageAnnotations?: Record<string, string>;
  command?: string[];
  args?: string[];
  workingDir?: string;
  env?: [name: string, value: string][];
  mounts?: MountConfig[];
  devices?: DeviceConfig[];
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  /** Relative to the sandbox's logDirectory. */
  logPath?: string;
  stdin?: boolean;
  stdinOnce?: boolean;
  tty?: boolean;
  resources?: LinuxResources;
  security?: SecurityConfig;
  /** "SIGTERM", "SIGRTMIN+3"; default: the image's, else SIGTERM. */
  stopSignal?: string;
  rlimits?: { type: string; soft: number; hard: number }[];
}

/** The part of an OCI image configuration that a container takes on. */
export interface ImageConfig {
  user: string;
  env: string[];
  entrypoint: string[];
  cmd: string[];
  workingDir: string;
  volumes: string[];
  stopSignal: string;
  labels: Record<string, string>;
}
