import { CAPABILITIES } from '../../src/spec/capabilities.ts';
import type { ContainerConfig, ImageConfig, SandboxConfig } from '../../src/spec/config.ts';
import type { ContainerSpecInput } from '../../src/spec/container-spec.ts';
import type { HostFacts } from '../../src/spec/host.ts';

/** A host, a pod and an image for tests of pure functions; every part may be replaced. */
export const HOST: HostFacts = {
  arch: 'x64',
  hostname: 'node-1',
  kernel: [6, 18],
  cgroup: 'hybrid',
  capabilities: [...CAPABILITIES],
  devices: [
    {
      containerPath: '/dev/sda',
      type: 'b',
      major: 8,
      minor: 0,
      mode: 0o660,
      uid: 0,
      gid: 6,
      permissions: 'rwm',
    },
    {
      containerPath: '/dev/ptmx',
      type: 'c',
      major: 5,
      minor: 2,
      mode: 0o666,
      uid: 0,
      gid: 5,
      permissions: 'rwm',
    },
  ],
};

export const SANDBOX: SandboxConfig = {
  name: 'web',
  namespace: 'default',
  uid: 'u-1',
  attempt: 0,
  hostname: 'web-0',
};

export const IMAGE: ImageConfig = {
  user: '',
  env: [],
  entrypoint: [],
  cmd: ['/bin/sh'],
  workingDir: '',
  volumes: [],
  stopSignal: '',
  labels: {},
};

export const CONTAINER: ContainerConfig = { name: 'c', attempt: 0, image: 'busybox' };

export function specInput(
  change: {
    sandbox?: Partial<SandboxConfig>;
    container?: Partial<ContainerConfig>;
    image?: Partial<ImageConfig>;
    host?: Partial<HostFacts>;
    rest?: Partial<ContainerSpecInput>;
  } = {},
): ContainerSpecInput {
  return {
    sandbox: { ...SANDBOX, ...change.sandbox },
    container: { ...CONTAINER, ...change.container },
    image: { ...IMAGE, ...change.image },
    host: { ...HOST, ...change.host },
    podFiles: { hosts: '/p/hosts', resolvConf: '/p/resolv.conf', hostname: '/p/hostname' },
    pod: { monitor: 100, reaper: 101 },
    cgroupsPath: '/coracle/pod/ctr',
    rootfs: '/r',
    ...change.rest,
  };
}
