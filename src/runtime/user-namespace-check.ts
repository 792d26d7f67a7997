/** Whether pods may have user namespaces on this host. */
import { readFile, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CoracleError } from '../errors.ts';
import type { SandboxConfig } from '../spec/config.ts';
import { type HostCheck, type HostReport, hostHas } from './doctor.ts';

type Version = readonly [major: number, minor: number];

const CHECK = 'user-namespaces';

/** overlayfs takes id-mapped layers. */
const OVERLAY: Version = [5, 19];

/** File systems that mount_setattr(2) maps ids on, by f_type of statfs(2), and since when. */
const FILE_SYSTEMS: ReadonlyMap<number, readonly [name: string, since: Version]> = new Map([
  [0xef53, ['ext4', [5, 12]]],
  [0x58465342, ['xfs', [5, 12]]],
  [0x9123683e, ['btrfs', [5, 15]]],
  [0xf2f52010, ['f2fs', [5, 18]]],
  [0x01021994, ['tmpfs', [6, 3]]],
  [0x00c36400, ['ceph', [6, 7]]],
]);

/** Told by version and file system: trying would take the addon and a process. */
export async function userNamespaceCheck(kernel: Version, root?: string): Promise<HostCheck> {
  const no = (detail: string): HostCheck => ({ name: CHECK, state: 'missing', detail });
  const limit = await readFile('/proc/sys/user/max_user_namespaces', 'utf8').catch(() => '0');
  const most = Number(limit.trim());
  if (!(most > 0)) return no(`max_user_namespaces is ${most}: pods have the host's`);
  if (isOlder(kernel, OVERLAY)) {
    return no(`overlayfs takes id-mapped layers since Linux ${OVERLAY.join('.')}`);
  }
  const detail = `max_user_namespaces ${most}`;
  if (root === undefined) return { name: CHECK, state: 'ok', detail };
  const type = await fileSystemOf(root);
  const [name, since] = FILE_SYSTEMS.get(type) ?? [];
  if (name === undefined || since === undefined) {
    return no(`${root} is on a file system (0x${type.toString(16)}) not known to map ids`);
  }
  if (isOlder(kernel, since)) return no(`${name} maps ids since Linux ${since.join('.')}`);
  return { name: CHECK, state: 'ok', detail: `${detail}; ${name} maps ids` };
}

/** Throws FailedPrecondition for a pod with a user namespace where the host cannot give it one. */
export function requireUserNamespaces(report: HostReport, config: SandboxConfig): void {
  if (config.userNamespace === undefined || hostHas(report, CHECK)) return;
  const found = report.checks.find(({ name }) => name === CHECK);
  throw new CoracleError(
    'FailedPrecondition',
    `userNamespace: this host has no user namespaces for pods: ${found?.detail}`,
  );
}

export function hasUserNamespaces(report: HostReport): boolean {
  return hostHas(report, CHECK);
}

/** f_type of the file system that a path is on, or will be once it is made. */
async function fileSystemOf(path: string): Promise<number> {
  const found = await statfs(path).catch(() => undefined);
  if (found || path === '/') return found?.type ?? 0;
  return fileSystemOf(dirname(path));
}

function isOlder([major, minor]: Version, [wantedMajor, wantedMinor]: Version): boolean {
  return major < wantedMajor || (major === wantedMajor && minor < wantedMinor);
}
