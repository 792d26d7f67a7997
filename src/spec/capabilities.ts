/** The capabilities of a container: capabilities(7) by name, and the sets that a container gets. */
import { invalid } from '../errors.ts';
import type { SecurityConfig } from './config.ts';
import type { HostFacts } from './host.ts';
import type { CapabilitySets } from './oci.ts';

/** In the order of their numbers (linux/capability.h, up to Linux 5.9's 40). */
export const CAPABILITIES: readonly string[] = [
  'CHOWN',
  'DAC_OVERRIDE',
  'DAC_READ_SEARCH',
  'FOWNER',
  'FSETID',
  'KILL',
  'SETGID',
  'SETUID',
  'SETPCAP',
  'LINUX_IMMUTABLE',
  'NET_BIND_SERVICE',
  'NET_BROADCAST',
  'NET_ADMIN',
  'NET_RAW',
  'IPC_LOCK',
  'IPC_OWNER',
  'SYS_MODULE',
  'SYS_RAWIO',
  'SYS_CHROOT',
  'SYS_PTRACE',
  'SYS_PACCT',
  'SYS_ADMIN',
  'SYS_BOOT',
  'SYS_NICE',
  'SYS_RESOURCE',
  'SYS_TIME',
  'SYS_TTY_CONFIG',
  'MKNOD',
  'LEASE',
  'AUDIT_WRITE',
  'AUDIT_CONTROL',
  'SETFCAP',
  'MAC_OVERRIDE',
  'MAC_ADMIN',
  'SYSLOG',
  'WAKE_ALARM',
  'BLOCK_SUSPEND',
  'AUDIT_READ',
  'PERFMON',
  'BPF',
  'CHECKPOINT_RESTORE',
].map((name) => `CAP_${name}`);

/** What a container has where nothing is asked for: the list of Docker and containerd. */
export const DEFAULT_CAPABILITIES: readonly string[] = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FSETID',
  'CAP_FOWNER',
  'CAP_MKNOD',
  'CAP_NET_RAW',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETFCAP',
  'CAP_SETPCAP',
  'CAP_NET_BIND_SERVICE',
  'CAP_SYS_CHROOT',
  'CAP_KILL',
  'CAP_AUDIT_WRITE',
];

/** The names that this mask of /proc/PID/status (CapBnd, hexadecimal) contains. */
export function capabilityNames(mask: bigint): string[] {
  return CAPABILITIES.filter((_name, number) => (mask >> BigInt(number)) & 1n);
}

/** The mask of a list of names as `containerCapabilities` returns them. */
export function capabilityMask(names: readonly string[]): bigint {
  let mask = 0n;
  for (const name of names) {
    const number = CAPABILITIES.indexOf(name);
    if (number < 0) throw invalid('capabilities', name, 'is not a capability');
    mask |= 1n << BigInt(number);
  }
  return mask;
}

/**
 * The sets of a container, worked out in containerd's order: ALL is added, ALL is dropped, single
 * names are added, single names are dropped. So "drop ALL, add CHOWN" and "add ALL, drop CHOWN"
 * both mean what they say. Names may be in any case, with or without "CAP_".
 *
 * Inheritable is empty but for the ambient ones, which must be inheritable (capabilities(7)):
 * with more, a program with file capabilities would keep what its caller had dropped
 * (CVE-2022-24769).
 */
export function containerCapabilities(
  security: SecurityConfig,
  host: Pick<HostFacts, 'capabilities'>,
): CapabilitySets {
  const add = parseList(security.addCapabilities, 'security.addCapabilities');
  const drop = parseList(security.dropCapabilities, 'security.dropCapabilities');
  const ambient = parseList(security.addAmbientCapabilities, 'security.addAmbientCapabilities');
  const wantsAll = security.privileged === true || add.all || ambient.all;
  const names = new Set(wantsAll ? host.capabilities : DEFAULT_CAPABILITIES);
  if (drop.all) names.clear();
  for (const name of [...add.names, ...ambient.names]) names.add(name);
  for (const name of drop.names) names.delete(name);
  const list = CAPABILITIES.filter((name) => names.has(name));
  const raised = list.filter((name) => ambient.all || ambient.names.has(name));
  return {
    bounding: list,
    effective: list,
    permitted: list,
    inheritable: raised,
    ambient: raised,
  };
}

function parseList(
  list: string[] | undefined,
  field: string,
): { all: boolean; names: Set<string> } {
  const names = new Set<string>();
  let all = false;
  list?.forEach((given, index) => {
    const name = given.toUpperCase();
    if (name === 'ALL' || name === 'CAP_ALL') {
      all = true;
      return;
    }
    const full = name.startsWith('CAP_') ? name : `CAP_${name}`;
    if (!CAPABILITIES.includes(full)) {
      throw invalid(`${field}[${index}]`, given, 'is not a capability of capabilities(7)');
    }
    names.add(full);
  });
  return { all, names };
}
