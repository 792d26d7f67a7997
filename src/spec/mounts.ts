/** The mounts of a container, in the order in which they are made. */
import { CoracleError, invalid, quote } from '../errors.ts';
import type { MountConfig, SandboxConfig } from './config.ts';
import type { ImageContent, Mount } from './oci.ts';
import { normalizePath } from './paths.ts';
import { ociMappings } from './user-namespace.ts';

/** Host paths of the files that a pod's containers have in /etc; absent ones are not mounted. */
export interface PodFiles {
  hosts?: string;
  resolvConf?: string;
  hostname?: string;
}

/** A path that an image wants kept apart from its layers, and the host directory that is there. */
export interface ImageVolume {
  path: string;
  hostPath: string;
}

export interface MountInput {
  sandbox: SandboxConfig;
  mounts: MountConfig[];
  /** What the mounts of images turned out to be, by their place in `mounts`. */
  images: ReadonlyMap<number, ImageContent>;
  /** Volumes that the image declares. */
  volumes: ImageVolume[];
  podFiles: PodFiles;
  privileged: boolean;
  readonlyRootfs: boolean;
}

/** The source by which a mount of /dev/shm stands for the pod's shared one. */
export const POD_SHM = 'shm';

/**
 * Default mounts first, then the others by depth, so that none hides another that was meant to
 * lie on top of it. One that is asked for replaces the default one of the same place, and one
 * over /dev all default ones below it. A volume that the image declares gives way to every other
 * mount of its place.
 */
export function containerMounts(input: MountInput): Mount[] {
  const maps = ociMappings(input.sandbox.userNamespace);
  const asked = input.mounts.map((mount, index) => ({
    ...askedMount(mount, `mounts[${index}]`, input.images.get(index)),
    ...(mount.mapIds ? maps : {}),
  }));
  const taken = new Set(asked.map((mount) => mount.destination));
  const files = podFileMounts(input).filter((mount) => !taken.has(mount.destination));
  const defaults = defaultMounts(input).filter(
    ({ destination }) =>
      !taken.has(destination) && !(taken.has('/dev') && destination.startsWith('/dev/')),
  );
  for (const { destination } of [...files, ...defaults]) taken.add(destination);
  const volumes = input.volumes.flatMap(({ path, hostPath }) => {
    const destination = normalizePath(path);
    if (destination === '/' || path.includes('\0')) {
      throw new CoracleError(
        'InvalidArgument',
        `the image declares a volume at ${quote(path)}, which is no path below the root`,
      );
    }
    if (taken.has(destination)) return [];
    taken.add(destination);
    return [{ ...mount(destination, 'bind', hostPath, ['rbind', 'rprivate', 'rw']), ...maps }];
  });
  const others = [...volumes, ...asked, ...files];
  others.sort((a, b) => depth(a.destination) - depth(b.destination));
  return [...defaults, ...others];
}

function defaultMounts({ sandbox, privileged }: MountInput): Mount[] {
  const guarded = ['nosuid', 'noexec', 'nodev'];
  const access = privileged ? 'rw' : 'ro';
  return [
    mount('/proc', 'proc', 'proc', guarded),
    mount('/dev', 'tmpfs', 'tmpfs', ['nosuid', 'strictatime', 'mode=755', 'size=65536k']),
    mount('/dev/pts', 'devpts', 'devpts', [
      'nosuid',
      'noexec',
      'newinstance',
      'ptmxmode=0666',
      'mode=0620',
      // The group tty of every distribution: grantpt(3) expects slaves to belong to it.
      'gid=5',
    ]),
    sandbox.namespaces?.ipc === 'node'
      ? mount('/dev/shm', 'bind', '/dev/shm', ['rbind', 'rprivate', ...guarded])
      : mount('/dev/shm', 'tmpfs', POD_SHM, [...guarded, 'mode=1777']),
    mount('/dev/mqueue', 'mqueue', 'mqueue', guarded),
    mount('/sys', 'sysfs', 'sysfs', [...guarded, access]),
    mount('/sys/fs/cgroup', 'cgroup', 'cgroup', [...guarded, 'relatime', access]),
  ];
}

function podFileMounts({ podFiles, readonlyRootfs }: MountInput): Mount[] {
  const options = ['rbind', 'rprivate', readonlyRootfs ? 'ro' : 'rw'];
  const files: [string, string | undefined][] = [
    ['/etc/hosts', podFiles.hosts],
    ['/etc/resolv.conf', podFiles.resolvConf],
    ['/etc/hostname', podFiles.hostname],
  ];
  return files.flatMap(([path, source]) =>
    source === undefined ? [] : [mount(path, 'bind', source, options)],
  );
}

function askedMount(config: MountConfig, field: string, image: ImageContent | undefined): Mount {
  const destination = normalizePath(config.containerPath);
  if (destination === '/' || config.containerPath.includes('\0')) {
    throw invalid(`${field}.containerPath`, config.containerPath, 'is no path below the root');
  }
  if (config.image) {
    if (config.hostPath !== undefined) {
      throw invalid(`${field}.hostPath`, config.hostPath, 'excludes an image');
    }
    return imageMount(config, field, destination, image);
  }
  const { hostPath = '' } = config;
  if (!hostPath.startsWith('/') || hostPath.includes('\0')) {
    throw invalid(`${field}.hostPath`, hostPath, 'is not an absolute path');
  }
  const propagation = config.propagation ?? 'private';
  return mount(destination, 'bind', hostPath, [
    'rbind',
    propagation === 'private' ? 'rprivate' : propagation,
    access(config, field),
    ...(config.flags ?? []),
  ]);
}

/** Without set-id programs and devices, as it is data; with the right to run what is in it. */
function imageMount(
  config: MountConfig,
  field: string,
  destination: string,
  image: ImageContent | undefined,
): Mount {
  if (config.readonly === false) throw invalid(`${field}.readonly`, false, 'is not for an image');
  if ((config.propagation ?? 'private') !== 'private') {
    throw invalid(`${field}.propagation`, config.propagation, 'is not for an image');
  }
  const subPath = config.image?.subPath ?? '';
  if (subPath.startsWith('/') || subPath.includes('\0') || subPath.split('/').includes('..')) {
    throw invalid(`${field}.image.subPath`, subPath, 'must be relative and must not contain ".."');
  }
  if (!image) throw new CoracleError('Internal', `${field}.image was not looked up`);
  const options = [...new Set(['ro', 'nosuid', 'nodev', ...(config.flags ?? [])])];
  return { ...mount(destination, 'overlay', 'overlay', options), image };
}

function access(config: MountConfig, field: string): string {
  if (!config.recursiveReadonly) return config.readonly ? 'ro' : 'rw';
  if (!config.readonly) throw invalid(`${field}.recursiveReadonly`, true, 'needs readonly');
  if ((config.propagation ?? 'private') !== 'private') {
    throw invalid(`${field}.recursiveReadonly`, true, 'needs private propagation');
  }
  return 'rro';
}

function depth(path: string): number {
  return path.split('/').length;
}

function mount(destination: string, type: string, source: string, options: string[]): Mount {
  return { destination, type, source, options };
}
