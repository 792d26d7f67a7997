/** Numbers of the kernel's interface, the same on every architecture. */

// clone(2)
export const CLONE_NEWNS = 0x0002_0000;
export const CLONE_NEWCGROUP = 0x0200_0000;
export const CLONE_NEWUTS = 0x0400_0000;
export const CLONE_NEWIPC = 0x0800_0000;
export const CLONE_NEWNET = 0x4000_0000;

// mount_setattr(2)
export const MOUNT_ATTR_RDONLY = 0x01;
export const MOUNT_ATTR_NOSUID = 0x02;
export const MOUNT_ATTR_NODEV = 0x04;
export const MOUNT_ATTR_NOEXEC = 0x08;
export const MOUNT_ATTR_NOATIME = 0x10;
export const MOUNT_ATTR_STRICTATIME = 0x20;
/** The field of the three ways to keep access times; 0 in it is relatime. */
export const MOUNT_ATTR_ATIME = 0x70;
export const MOUNT_ATTR_NODIRATIME = 0x80;
/** From Linux 5.14. */
export const MOUNT_ATTR_NOSYMFOLLOW = 0x20_0000;

/** With the pod's user namespace, which the monitor has. */
export const MOUNT_ATTR_IDMAP = 0x10_0000;

// mount(2)
export const MS_PRIVATE = 1 << 18;
export const MS_SLAVE = 1 << 19;
export const MS_SHARED = 1 << 20;

// mknod(2)
export const S_IFCHR = 0o020000;
export const S_IFBLK = 0o060000;

// getrlimit(2)
export const RLIM_INFINITY = 0xffff_ffff_ffff_ffffn;

// seccomp(2)
export const SECCOMP_FILTER_FLAGS: Readonly<Record<string, number>> = {
  SECCOMP_FILTER_FLAG_TSYNC: 1,
  SECCOMP_FILTER_FLAG_LOG: 2,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW: 4,
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: 32,
};
