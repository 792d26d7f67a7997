/** What the pure functions of this directory need to know of the machine, gathered beforehand. */

/** Architectures by Node's names (process.arch). */
export type Arch = 'x64' | 'arm64' | 'arm' | 'ia32' | 's390x' | 'ppc64' | 'riscv64' | 'loong64';

export interface HostFacts {
  arch: Arch;
  hostname: string;
  /** [6, 18] for Linux 6.18. */
  kernel: [major: number, minor: number];
  cgroup: 'v1' | 'hybrid' | 'v2';
  /** Capabilities that this process may hand on, "CAP_CHOWN"; what "ALL" stands for. */
  capabilities: string[];
  /** Every device node below /dev, for privileged containers. */
  devices: ResolvedDevice[];
  /** Limits for containers that name none of their own, by type. */
  rlimits?: { type: string; soft: number; hard: number }[];
}

/** A device node of the host, as stat(2) shows it, under the name it has in the container. */
export interface ResolvedDevice {
  containerPath: string;
  type: 'c' | 'b';
  major: number;
  minor: number;
  /** Permission bits. */
  mode: number;
  uid: number;
  gid: number;
  /** Of "r", "w", "m": what the device cgroup lets the container do. */
  permissions: string;
}
