import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

let networks = 0;

/**
 * A bridge with addresses from a file and host ports, as Kubernetes' guides have it; each with a
 * bridge and a subnet of its own. Returns the directory of the configuration.
 */
export function writeCniConfig(dir: string, name: string): string {
  networks += 1;
  const conf = join(dir, 'cni');
  mkdirSync(conf);
  const list = { cniVersion: '0.4.0', name, plugins: [bridge(dir, networks), portmap] };
  writeFileSync(join(conf, '10-bench.conflist'), JSON.stringify(list));
  return conf;
}

/** The configuration of the bridge plugin alone, without name and version. */
export function bridge(dir: string, number: number) {
  const subnet = `10.${200 + number}.0.0/16`;
  return {
    type: 'bridge',
    bridge: `bench${number}`,
    isGateway: true,
    ipMasq: false,
    ipam: {
      type: 'host-local',
      dataDir: join(dir, 'addresses'),
      ranges: [[{ subnet }]],
      routes: [{ dst: '0.0.0.0/0' }],
    },
  };
}

/** The plugin of host ports; of pods that have none it only passes on what it is given. */
export const portmap = { type: 'portmap', capabilities: { portMappings: true } };
