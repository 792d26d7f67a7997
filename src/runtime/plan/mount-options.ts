/** From mount(8) options to the arguments of the new mount interface. */
import {
  MOUNT_ATTR_ATIME,
  MOUNT_ATTR_NOATIME,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NODIRATIME,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_NOSYMFOLLOW,
  MOUNT_ATTR_RDONLY,
  MOUNT_ATTR_STRICTATIME,
  MS_PRIVATE,
  MS_SHARED,
  MS_SLAVE,
} from './constants.ts';

export interface MountOptions {
  /** MOUNT_ATTR_*. */
  set: number;
  clear: number;
  /** The attributes hold for the mounts below, too. */
  recursiveAttributes: boolean;
  /** A bind takes the mounts below along. */
  recursive: boolean;
  /** MS_PRIVATE, MS_SLAVE, MS_SHARED, or 0 to leave it. */
  propagation: number;
  /** What is the file system's own, comma-separated. */
  data: string;
}

type Attribute = [set: number, clear: number];

/**
 * "rw" clears nothing: a bind of what the host has mounted read-only stays so, since the host's
 * administrator, not the pod, decides that.
 */
const ATTRIBUTES: Readonly<Record<string, Attribute>> = {
  ro: [MOUNT_ATTR_RDONLY, 0],
  rw: [0, 0],
  nosuid: [MOUNT_ATTR_NOSUID, 0],
  suid: [0, MOUNT_ATTR_NOSUID],
  nodev: [MOUNT_ATTR_NODEV, 0],
  dev: [0, MOUNT_ATTR_NODEV],
  noexec: [MOUNT_ATTR_NOEXEC, 0],
  exec: [0, MOUNT_ATTR_NOEXEC],
  noatime: [MOUNT_ATTR_NOATIME, MOUNT_ATTR_ATIME],
  strictatime: [MOUNT_ATTR_STRICTATIME, MOUNT_ATTR_ATIME],
  relatime: [0, MOUNT_ATTR_ATIME],
  nodiratime: [MOUNT_ATTR_NODIRATIME, 0],
  diratime: [0, MOUNT_ATTR_NODIRATIME],
  nosymfollow: [MOUNT_ATTR_NOSYMFOLLOW, 0],
  symfollow: [0, MOUNT_ATTR_NOSYMFOLLOW],
};

const PROPAGATION: Readonly<Record<string, number>> = {
  private: MS_PRIVATE,
  rprivate: MS_PRIVATE,
  slave: MS_SLAVE,
  rslave: MS_SLAVE,
  shared: MS_SHARED,
  rshared: MS_SHARED,
};

/** Later options win over earlier ones that they contradict. */
export function parseMountOptions(options: readonly string[]): MountOptions {
  const result: MountOptions = {
    set: 0,
    clear: 0,
    recursiveAttributes: false,
    recursive: false,
    propagation: 0,
    data: '',
  };
  const data: string[] = [];
  for (const option of options) {
    // "rro" and its like are the recursive forms of the runtime specification.
    const deep = option.startsWith('r') ? ATTRIBUTES[option.slice(1)] : undefined;
    const attribute = ATTRIBUTES[option] ?? deep;
    if (attribute !== undefined) {
      const [set, clear] = attribute;
      result.set = (result.set & ~clear) | set;
      result.clear = (result.clear & ~set) | clear;
      if (ATTRIBUTES[option] === undefined) result.recursiveAttributes = true;
    } else if (PROPAGATION[option] !== undefined) {
      result.propagation = PROPAGATION[option];
    } else if (option === 'bind' || option === 'rbind') {
      result.recursive = option === 'rbind';
    } else {
      data.push(option);
    }
  }
  result.data = data.join(',');
  return result;
}
