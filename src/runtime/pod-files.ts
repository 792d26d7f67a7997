import { chown, mkdir, readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { hostResolvConf } from '../network/host-resolv-conf.ts';
import type { PodNetwork } from '../network/index.ts';
import { hostnameFile, hostsFile, resolvConf } from '../network/pod-files.ts';
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

/** Writes them, from the pod's DNS configuration or the host's own files. */
export async function writePodFiles(
  ctx: RuntimeContext,
  record: SandboxRecord,
  network: Pick<PodNetwork, 'ips'>,
): Promise<void> {
  const { config } = record;
  const paths = podFilePaths(ctx, record);
  const hostNetwork = config.namespaces?.network === 'node';
  const name = config.hostname || (hostNetwork ? hostname() : config.name.slice(0, HOSTNAME_MAX));
  await mkdir(podFilesDir(ctx.options, record.id), { recursive: true, mode: 0o700 });
  const [hostHosts, hostResolv] = await Promise.all([
    readFile('/etc/hosts', 'utf8').catch(() => ''),
    hostNetwork ? readFile('/etc/resolv.conf', 'utf8').catch(() => '') : hostResolvConf(),
  ]);
  const maps = config.userNamespace;
  const write = async (path: string, text: string) => {
    await writeFile(path, text, { mode: 0o644 });
    // The containers' root may change them, as in any pod.
    if (maps) await chown(path, maps.uids.hostId, maps.gids.hostId);
  };
  await Promise.all([
    write(paths.hosts, hostNetwork ? hostHosts : hostsFile({ ips: network.ips, hostname: name })),
    write(paths.resolvConf, resolvConf(config.dns, hostResolv, { hostNetwork })),
    write(paths.hostname, hostnameFile(name)),
  ]);
}
