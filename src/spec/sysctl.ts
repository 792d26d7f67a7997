/** Which kernel parameters a pod may set: those that belong to its own namespaces. */
import { invalid, quote } from '../errors.ts';
import type { SandboxConfig } from './config.ts';

/** Held in the IPC namespace (ipc_namespaces(7)); fs.mqueue.* is besides. */
const IPC = new Set([
  'kernel.auto_msgmni',
  'kernel.msg_next_id',
  'kernel.msgmax',
  'kernel.msgmnb',
  'kernel.msgmni',
  'kernel.sem',
  'kernel.sem_next_id',
  'kernel.shm_next_id',
  'kernel.shm_rmid_forced',
  'kernel.shmall',
  'kernel.shmmax',
  'kernel.shmmni',
]);

/**
 * The pod's kernel parameters under their dotted names. A name may be written as sysctl(8) reads
 * it: where the first separator is a slash, slashes separate and dots are literal.
 * Throws InvalidArgument naming a parameter that is not namespaced, or whose namespace is the
 * host's: a pod never changes the host.
 */
export function podSysctls(config: SandboxConfig): [name: string, value: string][] {
  const hostNet = config.namespaces?.network === 'node';
  const hostIpc = config.namespaces?.ipc === 'node';
  return Object.entries(config.sysctls ?? {}).map(([given, value]) => {
    const field = `sysctls[${quote(given)}]`;
    const name = dotted(given);
    if (!/^[a-z0-9_]+(\.[A-Za-z0-9_/@:-]+)+$/.test(name) || value.includes('\0')) {
      throw invalid(field, value, 'is not a kernel parameter and its value');
    }
    if (name.split(/[./]/).some((part) => part === '')) {
      throw invalid(field, value, 'is not a kernel parameter: a part of the name is empty');
    }
    if (IPC.has(name) || name.startsWith('fs.mqueue.')) {
      if (hostIpc)
        throw invalid(field, value, "would change the host: the pod uses the host's IPC");
    } else if (name.startsWith('net.')) {
      if (hostNet)
        throw invalid(field, value, "would change the host: the pod uses the host's net");
    } else if (name === 'kernel.domainname') {
      if (hostNet)
        throw invalid(field, value, "would change the host: the pod uses the host's UTS");
    } else {
      throw invalid(
        field,
        value,
        'is not a parameter of a namespace: setting it would change the host',
      );
    }
    return [name, value];
  });
}

function dotted(name: string): string {
  const first = /[./]/.exec(name)?.[0];
  if (first !== '/') return name;
  return name.replace(/[./]/g, (separator) => (separator === '/' ? '.' : '/'));
}
