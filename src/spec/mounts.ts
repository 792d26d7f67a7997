/** The mounts of a container, in the order in which they are made. */
import { invalid } from '../errors.ts';
import type { MountConfig, SandboxConfig } from './config.ts';
import type { Mount } from './oci.ts';
import { normalizePath } from './paths.ts';

/** Host paths of the files that a pod's containers have in /etc; absent ones are not mounted. */
export interface PodFiles {
  hosts?: string;
  resolvConf?: string;
  hostname?: string;
}

export interface MountInput {
  sandbox: SandboxConfig;
  mounts: MountConfig[];
  podFiles: PodFiles;
  privileged: boolean;
  readonlyRootfs: boolean;
}

/** The source by which a mount of /dev/shm stands for the pod's shared one. */
export const POD_SHM = 'shm';

/**
 * Default mounts first, then the others by depth, so that none hides another that was meant to
 * lie on top of it. One that is asked for replaces the default one of the same place, and one
 * over /dev all default ones below it.
 */
export function containerMounts(input: MountInput): Mount[] {
  const asked = input.mounts.map((mount, index) => bind(mount, `mounts[${index}]`));
  const taken = new Set(asked.map((mount) => mount.destination));
  const files = podFileMounts(input).filter((mount) => !taken.has(mount.destination));
  const defaults = defaultMounts(input).filter(
    ({ destination }) =>
      !taken.has(destination) && !(taken.has('/dev') && destination.startsWith('/dev/')),
  );
  const others = [...asked, ...files];
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

function bind(config: MountConfig, field: string): Mount {
  const destination = normalizePath(config.containerPath);
  if (destination === '/' || config.containerPath.includes('\0')) {
    throw invalid(`${field}.containerPath`, config.containerPath, 'is no path below the root');
  }
  if (!config.hostPath.startsWith('/') || config.hostPath.includes('\0')) {
    throw invalid(`${field}.hostPath`, config.hostPath, 'is not an absolute path');
  }
  const propagation = config.propagation ?? 'private';
  return mount(destination, 'bind', config.hostPath, [
    'rbind',
    propagation === 'private' ? 'rprivate' : propagation,
    config.readonly ? 'ro' : 'rw',
  ]);
}

function depth(path: string): number {
  return path.split('/').length;
}

function mount(destination: string, type: string, source: string, options: string[]): Mount {
  return { destination, type, source, options };
}
