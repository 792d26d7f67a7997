/** From what a caller asks for and what the image says to an OCI runtime specification. */
import { CoracleError, invalid } from '../errors.ts';
import type { SeccompSpec } from '../native/types.ts';
import { containerCapabilities } from './capabilities.ts';
import type { ContainerConfig, ImageConfig, SandboxConfig } from './config.ts';
import { defaultSeccomp } from './default-seccomp.ts';
import { containerDevices, deviceRules } from './devices.ts';
import type { HostFacts, ResolvedDevice } from './host.ts';
import { localhostSeccomp } from './localhost-seccomp.ts';
import { containerMounts, type ImageVolume, type PodFiles } from './mounts.ts';
import { containerNamespaces, type PodProcesses } from './namespaces.ts';
import type { ImageContent, Mount, Spec } from './oci.ts';
import { normalizePath } from './paths.ts';
import { processArgs, processCwd, processEnv, processRlimits, processUser } from './process.ts';
import { containerResources, oomScoreAdj } from './resources.ts';
import { checkContainerIds, ociMappings } from './user-namespace.ts';

export interface ContainerSpecInput {
  sandbox: SandboxConfig;
  container: ContainerConfig;
  image: ImageConfig;
  host: HostFacts;
  podFiles: PodFiles;
  pod: PodProcesses;
  /** Below the root of each cgroup hierarchy. */
  cgroupsPath: string;
  /** Where the root file system is, for inspection; the launch plan mounts its own. */
  rootfs: string;
  /** What the mounts of images turned out to be, by their place in `container.mounts`. */
  images?: ReadonlyMap<number, ImageContent>;
  /** Host directories that stand for the image's volumes. */
  volumes?: ImageVolume[];
  /** The AppArmor profile that is loaded for the container. */
  apparmorProfile?: string;
  /** What `container.devices` turned out to be. */
  devices?: ResolvedDevice[];
  /** The profile that a 'localhost' seccomp choice names. */
  seccompFile?: { path: string; text: string };
}

const OCI_VERSION = '1.2.0';

/**
 * Paths that tell about, or reach, the whole machine (config-linux.md, "Masked Paths"; the list
 * is containerd's, and /proc/interrupts, which times keystrokes of other users).
 */
export const MASKED_PATHS: readonly string[] = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/sys/devices/virtual/powercap',
  '/sys/firmware',
];

/** Paths whose writing changes the whole machine. */
export const READONLY_PATHS: readonly string[] = [
  '/proc/bus',
  '/proc/fs',
  '/proc/irq',
  '/proc/sys',
  '/proc/sysrq-trigger',
];

/** Throws InvalidArgument naming the field that is wrong. */
export function containerSpec(input: ContainerSpecInput): Spec {
  const { sandbox, container, image, host } = input;
  const security = container.security ?? {};
  const privileged = security.privileged === true;
  if (privileged && sandbox.privileged !== true) {
    throw invalid('security.privileged', true, 'needs a privileged pod');
  }
  checkContainerIds(sandbox, container);
  const asked = input.devices ?? [];
  const capabilities = containerCapabilities(security, host);
  const readonlyRootfs = security.readonlyRootfs === true;
  const mounts = containerMounts({
    sandbox,
    mounts: container.mounts ?? [],
    images: input.images ?? new Map(),
    volumes: input.volumes ?? [],
    podFiles: input.podFiles,
    privileged,
    readonlyRootfs,
  });
  const seccomp = seccompProfile(input, capabilities.bounding);
  return {
    ociVersion: OCI_VERSION,
    root: { path: input.rootfs, readonly: readonlyRootfs },
    process: {
      terminal: container.tty === true,
      user: processUser(security, image),
      args: processArgs(container, image),
      env: processEnv(container, image, sandbox.hostname || host.hostname),
      cwd: processCwd(container, image),
      capabilities,
      rlimits: processRlimits(container, host.rlimits ?? []),
      noNewPrivileges: security.noNewPrivs === true,
      ...(input.apparmorProfile === undefined ? {} : { apparmorProfile: input.apparmorProfile }),
      oomScoreAdj: oomScoreAdj(container.resources),
    },
    mounts,
    ...(container.annotations === undefined ? {} : { annotations: { ...container.annotations } }),
    linux: {
      namespaces: containerNamespaces(sandbox, container, host, input.pod),
      ...ociMappings(sandbox.userNamespace),
      cgroupsPath: input.cgroupsPath,
      resources: {
        devices: deviceRules(asked, privileged),
        ...containerResources(container.resources),
      },
      devices: containerDevices(asked, privileged, host, sandbox.userNamespace),
      sysctl: {},
      ...(seccomp === undefined ? {} : { seccomp }),
      maskedPaths: privileged ? [] : (security.maskedPaths ?? MASKED_PATHS).map(normalizePath),
      readonlyPaths: privileged
        ? []
        : (security.readonlyPaths ?? READONLY_PATHS).map(normalizePath),
      rootfsPropagation: rootfsPropagation(mounts),
    },
  };
}

/** Absent means the default profile here; a caller that means no filter says 'unconfined'. */
function seccompProfile(
  input: ContainerSpecInput,
  capabilities: readonly string[],
): SeccompSpec | undefined {
  const security = input.container.security ?? {};
  const choice = security.seccomp ?? { type: 'runtimeDefault' };
  if (security.privileged || choice.type === 'unconfined') return undefined;
  if (choice.type === 'runtimeDefault') return defaultSeccomp(capabilities, input.host.arch);
  const file = input.seccompFile;
  if (file?.path !== choice.path) {
    throw new CoracleError('Internal', `seccomp profile ${choice.path} was not read`);
  }
  return localhostSeccomp(file, capabilities, input.host);
}

/** As open as its most open mount: one that passes mounts on needs a root that does. */
function rootfsPropagation(mounts: Mount[]): Spec['linux']['rootfsPropagation'] {
  if (mounts.some(({ options }) => options.includes('rshared'))) return 'shared';
  if (mounts.some(({ options }) => options.includes('rslave'))) return 'slave';
  return 'private';
}
