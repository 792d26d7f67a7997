/** Name of the profile of containers that have no other. */
export const DEFAULT_APPARMOR = 'coracle-default';

/** Files that change or tell about the whole machine, for reading and writing (apparmor.d(5)). */
const HIDDEN = ['@{PROC}/kcore', '@{PROC}/kmem', '@{PROC}/mem', '/sys/firmware/**'];

/** Files that may be read and not written. What is left writable has a namespace. */
const READONLY = [
  '@{PROC}/sysrq-trigger',
  '@{PROC}/acpi/**',
  '@{PROC}/bus/**',
  '@{PROC}/fs/**',
  '@{PROC}/irq/**',
  '@{PROC}/scsi/**',
  '@{PROC}/sys/{abi,debug,dev,fs,user,vm}/**',
  // All but msg*, sem and shm*, which belong to the IPC namespace.
  '@{PROC}/sys/kernel/{[^ms],m[^s],s[^eh],se[^m],sh[^m]}**',
  '/sys/[^f]*/**',
  '/sys/f[^s]*/**',
  '/sys/fs/[^c]*/**',
  '/sys/fs/c[^g]*/**',
];

/**
 * A profile for apparmor_parser(8), on top of masked and read-only paths, capabilities and the
 * seccomp filter, for where a container has got around one of these: files of the whole machine
 * stay closed, nothing is mounted, and only processes of containers are traced and signalled.
 */
export function defaultAppArmorProfile(name = DEFAULT_APPARMOR): string {
  return `@{PROC}=/proc/

profile ${name} flags=(attach_disconnected,mediate_deleted) {
  capability,
  file,
  network,
  umount,

  signal (receive) peer=unconfined,
  signal (send, receive) peer=${name},
  ptrace (read, readby, trace, tracedby) peer=${name},

  deny mount,
${HIDDEN.map((path) => `  deny ${path} rwklx,`).join('\n')}
${READONLY.map((path) => `  deny ${path} wklx,`).join('\n')}
}
`;
}
