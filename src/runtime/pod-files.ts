import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { FileOp } from '../native/types.ts';
import { hostResolvConf } from '../network/host-resolv-conf.ts';
import type { PodNetwork } from '../network/index.ts';
import { hostnameFile, hostsFile, resolvConf } from '../network/pod-files.ts';
import type { SandboxConfig } from '../spec/config.ts';
import type { SandboxRecord } from '../store/types.ts';
import type { RuntimeContext } from './context.ts';
import { podFilesDir } from './paths.ts';

/** HOST_NAME_MAX of Linux. */
const HOSTNAME_MAX = 64;

export interface PodFilePaths {
  hosts: string;
  resolvConf: string;
  hostname: string;
}

/** Where the files lie that every container of a pod sees in its /etc. */
export function podFilePaths(ctx: RuntimeContext, record: SandboxRecord): PodFilePaths {
  const dir = podFilesDir(ctx.options, record.id);
  return {
    hosts: join(dir, 'hosts'),
    resolvConf: join(dir, 'resolv.conf'),
    hostname: join(dir, 'hostname'),
  };
}

/** What the host says that pods are told, too. */
export interface HostFiles {
  hosts: string;
  resolvConf: string;
}

export async function readHostFiles({ namespaces }: SandboxConfig): Promise<HostFiles> {
  if (namespaces?.network !== 'node') return { hosts: '', resolvConf: await hostResolvConf() };
  const [hosts, resolvConf] = await Promise.all(
    ['/etc/hosts', '/etc/resolv.conf'].map((path) => readFile(path, 'utf8').catch(() => '')),
  );
  return { hosts: hosts ?? '', resolvConf: resolvConf ?? '' };
}

/** Writes them, from the pod's DNS configuration or the host's own files. */
export async function writePodFiles(
  ctx: RuntimeContext,
  record: SandboxRecord,
  network: Pick<PodNetwork, 'ips'>,
  host: HostFiles,
): Promise<void> {
  const { config } = record;
  const paths = podFilePaths(ctx, record);
  const hostNetwork = config.namespaces?.network === 'node';
  const name = config.hostname || (hostNetwork ? hostname() : config.name.slice(0, HOSTNAME_MAX));
  const { uids, gids } = config.userNamespace ?? {};
  // The containers' root may change them, as in any pod.
  const owner = { uid: uids?.hostId ?? 0, gid: gids?.hostId ?? 0 };
  const create = (path: string, value: string): FileOp => {
    return { op: 'create', path, value, mode: 0o644, ...owner };
  };
  await ctx.addon.runFileOps([
    { op: 'mkdir', path: podFilesDir(ctx.options, record.id), mode: 0o700, parents: true },
    create(paths.hosts, hostNetwork ? host.hosts : hostsFile({ ips: network.ips, hostname: name })),
    create(paths.resolvConf, resolvConf(config.dns, host.resolvConf, { hostNetwork })),
    create(paths.hostname, hostnameFile(name)),
  ]);
}
