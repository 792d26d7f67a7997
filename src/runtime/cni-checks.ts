import { access, constants } from 'node:fs/promises';
import { messageOf } from '../errors.ts';
import { ConfDir } from '../network/cni/conf-dir.ts';
import { findPlugin } from '../network/cni/find-plugin.ts';
import type { NetworkOptions } from './context.ts';
import type { HostCheck } from './doctor.ts';

/** What a configured CNI network needs; no checks where the embedded network is used. */
export async function cniChecks({ cniConfDir, cniBinDirs }: NetworkOptions): Promise<HostCheck[]> {
  if (cniConfDir === undefined) return [];
  const dir = new ConfDir(cniConfDir);
  await dir.refresh();
  dir.close();
  const { network, file, skipped } = dir.current;
  if (!network) {
    const detail = [`no configuration in ${cniConfDir}: no pod gets a network`, ...skipped];
    return [{ name: 'cni-configuration', state: 'missing', detail: detail.join('; ') }];
  }
  const problems: string[] = [];
  for (const { type } of network.plugins) {
    const site = { plugin: type, command: 'ADD', network: network.name } as const;
    await findPlugin(cniBinDirs, site).catch((error: unknown) => problems.push(messageOf(error)));
  }
  const names = network.plugins.map(({ type }) => type);
  return [
    {
      name: 'cni-configuration',
      state: skipped.length === 0 ? 'ok' : 'degraded',
      detail: [`network ${network.name} of ${file}`, ...skipped].join('; '),
    },
    {
      name: 'cni-plugins',
      state: problems.length === 0 ? 'ok' : 'missing',
      detail: problems.length === 0 ? names.join(', ') : problems.join('; '),
    },
    await iptables(names),
  ];
}

/** What some plugins run; "bridge" does for ipMasq alone. */
async function iptables(plugins: readonly string[]): Promise<HostCheck> {
  const name = 'iptables';
  for (const directory of ['/usr/sbin', '/sbin', '/usr/bin', '/usr/local/sbin']) {
    const file = `${directory}/${name}`;
    const found = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return { name, state: 'ok', detail: file };
  }
  const users = plugins.filter((each) => ['bridge', 'firewall', 'portmap', 'ptp'].includes(each));
  return users.length === 0
    ? { name, state: 'ok', detail: 'not found; no plugin of this network is known to need it' }
    : {
        name,
        state: 'degraded',
        detail: `not found; these plugins may need it: ${users.join(', ')}`,
      };
}
