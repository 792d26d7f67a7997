/** What a pod's monitor makes before the first container. */
import { invalid } from '../errors.ts';
import type { SandboxSetup } from '../native/types.ts';
import type { SandboxConfig } from './config.ts';
import { podSysctls } from './sysctl.ts';
import { checkUserNamespace } from './user-namespace.ts';

export const DEFAULT_SHM_SIZE = 64 * 1024 * 1024;

/** The kernel's __NEW_UTS_LEN (uname(2)). */
const HOSTNAME_MAX = 64;

/**
 * The setup of a pod, without the runtime's own directories. A pod in the host's network has the
 * host's name, too: its UTS namespace is the host's, as in containerd. An empty hostname leaves
 * the name that a new UTS namespace takes over from the host.
 * Throws InvalidArgument naming the field.
 */
export function sandboxSetup(config: SandboxConfig): Omit<SandboxSetup, 'rootDir' | 'exitDir'> {
  checkUserNamespace(config);
  const net = config.namespaces?.network !== 'node';
  const ipc = config.namespaces?.ipc !== 'node';
  const hostname = config.hostname ?? '';
  if (Buffer.byteLength(hostname) > HOSTNAME_MAX || /[\0/\s]/.test(hostname)) {
    throw invalid('hostname', hostname, `is not a host name of at most ${HOSTNAME_MAX} bytes`);
  }
  const shmSize = config.shmSize ?? DEFAULT_SHM_SIZE;
  if (!Number.isSafeInteger(shmSize) || shmSize <= 0) {
    throw invalid('shmSize', shmSize, 'is not a number of bytes');
  }
  return {
    net,
    ipc,
    uts: net,
    sharedPid: config.namespaces?.pid === 'pod',
    attached: config.attached ?? false,
    hostname: net ? hostname : '',
    shmSize: ipc ? shmSize : 0,
    sysctls: podSysctls(config),
    ...(config.userNamespace && { userNamespace: config.userNamespace }),
  };
}
