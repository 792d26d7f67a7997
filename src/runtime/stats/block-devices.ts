import { readlinkSync } from 'node:fs';
import { basename } from 'node:path';

/** The name of a block device by its numbers. */
export type BlockDeviceName = (major: string, minor: string) => string;

/**
 * "/dev/vda" for 254, 0; "254:0" where the host has no such device (any more). Looks each device
 * up once: to be made anew for every answer, since a number may be given out again.
 */
export function blockDeviceNames(): BlockDeviceName {
  const names = new Map<string, string>();
  return (major, minor) => {
    const key = `${major}:${minor}`;
    const name = names.get(key) ?? lookUp(key);
    names.set(key, name);
    return name;
  };
}

function lookUp(key: string): string {
  try {
    // sysfs(5) has "!" for a slash in a name.
    return `/dev/${basename(readlinkSync(`/sys/dev/block/${key}`)).replaceAll('!', '/')}`;
  } catch {
    return key;
  }
}
