import type { ImageService } from '../image/images.ts';
import type { Addon } from '../native/types.ts';
import type { PodNetworkProvider } from '../network/index.ts';
import type { HostFacts } from '../spec/host.ts';
import type { ContainerStore } from '../store/containers.ts';
import type { RootLock } from '../store/lock.ts';
import type { NameRegistry } from '../store/names.ts';
import type { SandboxStore } from '../store/sandboxes.ts';
import type { Store } from '../store/store.ts';
import type { StreamServer } from '../streaming/server.ts';
import type { CgroupLayout } from './cgroup/index.ts';
import type { Creations } from './creations.ts';
import type { HostReport } from './doctor.ts';
import type { Embryos } from './embryos.ts';
import type { EventBus } from './events.ts';
import type { LaunchPhases } from './launch-phases.ts';
import type { LiveContainers } from './live.ts';
import type { Monitors } from './monitors.ts';
import type { SeccompCache } from './seccomp-cache.ts';
import type { SpareMonitors } from './spare-monitors.ts';
import type { Stats } from './stats/open-stats.ts';
import type { Trash } from './trash.ts';

/** The part of pino's interface that the runtime uses; any logger of that shape will do. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface RuntimeOptions {
  /** Directory of what must survive a reboot: images, layers, records. */
  root: string;
  /** Directory of what must not: sockets, exit records, pod files. Best on a tmpfs. */
  state: string;
  cgroupDriver: 'cgroupfs' | 'systemd';
  /** Bytes of content in one CRI log line; a longer line is split. */
  maxLogLine: number;
  /** How long ExecSync waits for output that background children hold open, ms (XS-6). */
  execDrainTimeoutMs: number;
  network: NetworkOptions;
  images: ImageOptions;
}

export interface NetworkOptions {
  /** Link name of the embedded network's bridge. */
  bridge: string;
  /** IPv4, "10.88.0.0/16"; "none": IPv6 alone; absent: one that no route of the host uses. */
  subnet?: string;
  /** IPv6, "fd00:88::/64"; absent: pods of the embedded network have IPv4 alone. */
  subnet6?: string;
  /** Directory of CNI configurations. Absent: the embedded network. */
  cniConfDir?: string;
  /** Directories of CNI plugins, searched in this order. */
  cniBinDirs: string[];
  /** How long one CNI plugin may take, ms; then it is killed. */
  cniTimeoutMs: number;
}

export interface ImageOptions {
  /** Directories of `<host>/hosts.toml` files; the first that has one for a registry counts. */
  registryConfigDirs: string[];
  /** A pull that gets no byte for so long is given up, ms; 0 for never (IM-3). */
  progressTimeoutMs: number;
  /** Blobs that one pull fetches at once (IM-6). */
  maxDownloads: number;
  /** Names of images that garbage collectors must not remove, "registry.k8s.io/pause:*" (IM-10). */
  pinned: string[];
}

/** Everything a verb of the runtime works on; made once by `openRuntime`. */
export interface RuntimeContext {
  readonly options: RuntimeOptions;
  readonly log: Logger;
  readonly addon: Addon;
  readonly store: Store;
  readonly sandboxes: SandboxStore;
  readonly containers: ContainerStore;
  readonly sandboxNames: NameRegistry;
  readonly containerNames: NameRegistry;
  readonly images: ImageService;
  readonly network: PodNetworkProvider;
  readonly seccomp: SeccompCache;
  readonly stats: Stats;
  readonly cgroups: CgroupLayout;
  readonly host: HostReport;
  readonly facts: HostFacts;
  readonly lock: RootLock;
  readonly events: EventBus;
  readonly monitors: Monitors;
  readonly spares: SpareMonitors;
  readonly live: LiveContainers;
  readonly launches: LaunchPhases;
  readonly creations: Creations;
  readonly embryos: Embryos;
  readonly trash: Trash;
  /** Where clients of exec, attach and port-forward connect; an embedding program has none. */
  streaming?: StreamServer;
  /** True once nothing new may begin, since the runtime is being closed. */
  draining: boolean;
  /** True once this process lets go of its pods without ending them, and of its stores. */
  closing: boolean;
  /** False until recovery is over (EX-17). */
  ready: boolean;
}
