/** Device nodes of a container, and the rules of its device cgroup. */
import { invalid } from '../errors.ts';
import type { IdMaps } from '../native/types.ts';
import type { HostFacts, ResolvedDevice } from './host.ts';
import type { Device, DeviceCgroup } from './oci.ts';

/** Terminals are those of the container's own devpts, whatever the host has. */
const OWN = /^\/dev\/(ptmx|console|pts\/.*)$/;

/** The nodes that the runtime specification wants in every container (config-linux.md). */
const DEFAULT_DEVICES: readonly Device[] = [
  node('/dev/null', 1, 3),
  node('/dev/zero', 1, 5),
  node('/dev/full', 1, 7),
  node('/dev/random', 1, 8),
  node('/dev/urandom', 1, 9),
  node('/dev/tty', 5, 0),
];

function node(path: string, major: number, minor: number): Device {
  return { path, type: 'c', major, minor, fileMode: 0o666, uid: 0, gid: 0 };
}

/**
 * Nodes: the default ones, the host's for a privileged container, then those asked for, which
 * replace an earlier one of the same path. The default ones belong to the container's root, the
 * others to whom they belong in the host, a user namespace or not.
 */
export function containerDevices(
  asked: ResolvedDevice[],
  privileged: boolean,
  host: Pick<HostFacts, 'devices'>,
  maps?: IdMaps,
): Device[] {
  const owner = { uid: maps?.uids.hostId ?? 0, gid: maps?.gids.hostId ?? 0 };
  const devices = new Map<string, Device>(
    DEFAULT_DEVICES.map((device) => [device.path, { ...device, ...owner }]),
  );
  for (const device of privileged ? host.devices : []) {
    const taken = devices.has(device.containerPath) || OWN.test(device.containerPath);
    if (!taken) devices.set(device.containerPath, toDevice(device));
  }
  asked.forEach((device, index) => {
    checkDevice(device, `devices[${index}]`);
    devices.set(device.containerPath, toDevice(device));
  });
  return [...devices.values()];
}

/**
 * Rules: nothing but what is listed. Any node may be made (the default capabilities have MKNOD)
 * but only these opened: the default ones, terminals of the container's own devpts, and what was
 * asked for. A privileged container opens everything.
 */
export function deviceRules(asked: ResolvedDevice[], privileged: boolean): DeviceCgroup[] {
  if (privileged) return [{ allow: true, type: 'a', access: 'rwm' }];
  return [
    { allow: false, type: 'a', access: 'rwm' },
    { allow: true, type: 'c', access: 'm' },
    { allow: true, type: 'b', access: 'm' },
    ...DEFAULT_DEVICES.map(({ type, major, minor }) => ({
      allow: true,
      type,
      major,
      minor,
      access: 'rwm',
    })),
    // /dev/ptmx and the slaves of devpts (Documentation/admin-guide/devices.txt).
    { allow: true, type: 'c', major: 5, minor: 2, access: 'rwm' },
    { allow: true, type: 'c', major: 136, access: 'rwm' },
    ...asked.map(({ type, major, minor, permissions }) => ({
      allow: true,
      type,
      major,
      minor,
      access: permissions,
    })),
  ];
}

function toDevice(device: ResolvedDevice): Device {
  return {
    path: device.containerPath,
    type: device.type,
    major: device.major,
    minor: device.minor,
    fileMode: device.mode & 0o7777,
    uid: device.uid,
    gid: device.gid,
  };
}

function checkDevice(device: ResolvedDevice, field: string): void {
  if (!device.containerPath.startsWith('/') || device.containerPath.split('/').includes('..')) {
    throw invalid(`${field}.containerPath`, device.containerPath, 'is not an absolute path');
  }
  if (!/^[rwm]{1,3}$/.test(device.permissions)) {
    throw invalid(`${field}.permissions`, device.permissions, 'is not of "r", "w", "m"');
  }
}
