import type { NetworkConf } from './conf.ts';
import { callPlugin, type PluginHost } from './exec.ts';
import { baseConfig } from './request.ts';
import { atLeast, type CniVersion } from './version.ts';

/**
 * Asks each plugin whether it could ADD now (CNI spec 1.1.0 and later; before, all could).
 *
 * @throws the first failure; codes 50 and 51 mean that the plugin knows that it could not.
 */
export async function statusOfNetwork(
  host: PluginHost,
  network: NetworkConf,
  version: CniVersion,
): Promise<void> {
  if (!atLeast(version, '1.1.0')) return;
  for (const plugin of network.plugins) {
    await callPlugin(host, {
      plugin: plugin.type,
      command: 'STATUS',
      network: network.name,
      config: baseConfig(network, version, plugin),
    });
  }
}
