import type { NetworkConf } from './conf.ts';
import { callPlugin, type PluginHost } from './exec.ts';
import { baseConfig } from './request.ts';
import { atLeast, type CniVersion } from './version.ts';

/** What still holds something in a network. */
export interface ValidAttachment {
  readonly containerID: string;
  readonly ifname: string;
}

/**
 * Lets each plugin give back what belongs to none of the valid attachments (CNI spec 1.1.0 and
 * later). No ADD and no DEL may be under way.
 *
 * @returns every plugin's failure.
 */
export async function gcNetwork(
  host: PluginHost,
  network: NetworkConf,
  version: CniVersion,
  valid: readonly ValidAttachment[],
): Promise<unknown[]> {
  if (!atLeast(version, '1.1.0') || network.disableGC) return [];
  const failures: unknown[] = [];
  for (const plugin of network.plugins) {
    const config = {
      ...baseConfig(network, version, plugin),
      'cni.dev/valid-attachments': valid,
      // The name in early texts of 1.1.0, which plugins of that time read.
      'cni.dev/attachments': valid,
    };
    try {
      await callPlugin(host, {
        plugin: plugin.type,
        command: 'GC',
        network: network.name,
        config,
      });
    } catch (error) {
      failures.push(error);
    }
  }
  return failures;
}
