import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const PLUGINS = '/usr/lib/cni';

/** Flags of a server whose pods are connected by CNI plugins, bridge and host-local of Debian's. */
export function cniFlags(network: 'embedded' | 'cni', dir: string): string[] {
  if (network === 'embedded') return [];
  if (!existsSync(join(PLUGINS, 'bridge'))) throw new Error(`--network cni: no ${PLUGINS}/bridge`);
  const confDir = join(dir, 'cni');
  mkdirSync(confDir);
  const ipam = {
    type: 'host-local',
    ranges: [[{ subnet: '10.99.0.0/16' }]],
    dataDir: join(dir, 'state', 'cni-addresses'),
  };
  const bridge = { type: 'bridge', bridge: 'torture0', isGateway: true, ipam };
  const portmap = { type: 'portmap', capabilities: { portMappings: true }, backend: 'nftables' };
  writeFileSync(
    join(confDir, '10-torture.conflist'),
    JSON.stringify({ name: 'torture', cniVersion: '1.0.0', plugins: [bridge, portmap] }),
  );
  return ['--cni-conf-dir', confDir, '--cni-bin-dir', PLUGINS];
}
