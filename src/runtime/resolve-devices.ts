import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CoracleError, quote } from '../errors.ts';
import type { ContainerConfig, DeviceConfig } from '../spec/config.ts';
import type { ResolvedDevice } from '../spec/host.ts';

const S_IFMT = 0o170000;
const S_IFBLK = 0o060000;
const S_IFCHR = 0o020000;

/** The device numbers behind the paths that a container asks for. */
export async function resolveDevices(config: ContainerConfig): Promise<ResolvedDevice[]> {
  return (await Promise.all((config.devices ?? []).map(resolve))).flat();
}

async function resolve(device: DeviceConfig): Promise<ResolvedDevice[]> {
  const found = await stat(device.hostPath).catch((error: NodeJS.ErrnoException) => {
    throw new CoracleError(
      'InvalidArgument',
      `devices.hostPath: ${quote(device.hostPath)} cannot be used: ${error.code}`,
    );
  });
  if (found.isDirectory()) {
    const inside = await hostDevices(device.hostPath, { left: MAX_ENTRIES });
    return inside.map((each) => ({
      ...each,
      containerPath: join(device.containerPath, each.containerPath.slice(device.hostPath.length)),
      permissions: device.permissions,
    }));
  }
  return [describe(device.containerPath, device.hostPath, found, device.permissions)];
}

function describe(
  containerPath: string,
  hostPath: string,
  found: { mode: number; rdev: number; uid: number; gid: number },
  permissions: string,
): ResolvedDevice {
  const type = found.mode & S_IFMT;
  if (type !== S_IFCHR && type !== S_IFBLK) {
    throw new CoracleError(
      'InvalidArgument',
      `devices.hostPath: ${quote(hostPath)} is not a device node`,
    );
  }
  return {
    containerPath,
    type: type === S_IFCHR ? 'c' : 'b',
    ...deviceNumbers(found.rdev),
    mode: found.mode & 0o7777,
    uid: found.uid,
    gid: found.gid,
    permissions,
  };
}

/** Splits a Linux dev_t as makedev(3) builds it. */
export function deviceNumbers(rdev: number): { major: number; minor: number } {
  const dev = BigInt(rdev);
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & 0xfffff000n);
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xffffff00n);
  return { major: Number(major), minor: Number(minor) };
}

/** Devices that a container has of its own, and the ptys and queues of the host. */
const SKIPPED = new Set([
  '/dev/pts',
  '/dev/shm',
  '/dev/mqueue',
  '/dev/fd',
  '/dev/console',
  '/dev/ptmx',
]);

/** Of a directory that a container asks for: one of devices has few, the whole host a million. */
const MAX_ENTRIES = 10_000;

/**
 * Every device node below a directory, for privileged containers. Throws InvalidArgument where there
 * is more below it than `room` says.
 */
export async function hostDevices(
  dir: string,
  room = { left: Number.POSITIVE_INFINITY },
): Promise<ResolvedDevice[]> {
  const devices: ResolvedDevice[] = [];
  for (const entry of await readdir(dir, { withFileTypes: true }).catch(() => [])) {
    const path = join(dir, entry.name);
    if (SKIPPED.has(path)) continue;
    room.left -= 1;
    if (room.left < 0) {
      throw new CoracleError(
        'InvalidArgument',
        `devices.hostPath: there are more than ${MAX_ENTRIES} files below it, at ${quote(dir)}`,
      );
    }
    if (entry.isDirectory()) devices.push(...(await hostDevices(path, room)));
    else if (entry.isCharacterDevice() || entry.isBlockDevice()) {
      const found = await stat(path).catch(() => undefined);
      if (found) devices.push(describe(path, path, found, 'rwm'));
    }
  }
  return devices;
}
