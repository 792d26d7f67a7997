import type { HostReport } from '../../src/runtime/doctor.ts';

/** A report of a host that has what is named and lacks the rest. */
export function hostReport(...present: string[]): HostReport {
  const names = ['apparmor', 'mount_setattr', 'selinux', 'seccomp', 'overlayfs'];
  return {
    bootId: '00000000-0000-0000-0000-000000000000',
    kernelRelease: '6.1.0',
    kernel: [6, 1],
    checks: names.map((name) => ({
      name,
      state: present.includes(name) ? 'ok' : 'missing',
      detail: '',
    })),
  };
}
