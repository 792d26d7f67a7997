/** The records that are persisted. Times are CLOCK_REALTIME in ns. */
import type { ContainerConfig, PodResources, SandboxConfig } from '../spec/config.ts';
import type { ResolvedDevice } from '../spec/host.ts';
import type { Spec } from '../spec/oci.ts';

/** What a pod's network gave it; plain data, further fields are the network's own and are kept. */
export interface SandboxNetwork {
  /** Addresses without prefix length; the first is the pod's primary one. */
  ips: string[];
}

/** What is known of a sandbox. Replaced as a whole, by `Sandbox`. */
export interface SandboxRecord {
  id: string;
  /** Unique among sandboxes: name, namespace, uid and attempt, joined. */
  name: string;
  config: SandboxConfig;
  runtimeHandler: string;
  createdAt: bigint;
  /** Below the cgroup hierarchies' roots. */
  cgroupPath: string;
  /** /proc/sys/kernel/random/boot_id of the boot that its monitor belongs to. */
  bootId: string;
  /** null until the pod has its network. */
  network: SandboxNetwork | null;
  /** Absent until the pod is ready. */
  monitorPid?: number;
  /** Host pid of process 1 of the pod's PID namespace; 0 or absent where none is shared. */
  reaperPid?: number;
  /** As updated since the creation; absent: as in the configuration. */
  podResources?: PodResources;
  /** 0 while it has not stopped. */
  stoppedAt: bigint;
}

/** What a mount of an image turned out to be. */
export interface MountedImage {
  /** Its place in the configuration's `mounts`. */
  mount: number;
  imageId: string;
}

/** What does not change about a container. */
export interface ContainerRecord {
  id: string;
  /** Unique among containers: name, sandbox name and attempt, joined. */
  name: string;
  sandboxId: string;
  config: ContainerConfig;
  imageId: string;
  /** A digest reference where the image has one, else its id. */
  imageRef: string;
  createdAt: bigint;
  cgroupPath: string;
  devices: ResolvedDevice[];
  /** "SIGTERM". */
  stopSignal: string;
  /** Directories of the image's layers below the root directory, the topmost first. */
  layers: string[];
  /** The images of its mounts; absent in the records of older versions. */
  mountedImages?: MountedImage[];
  spec: Spec;
}
