import type { CniAttachment } from './attachments.ts';
import type { NetworkConf } from './conf.ts';
import { callPlugin, type PluginHost } from './exec.ts';
import { CniFailure, UNKNOWN_CONTAINER } from './failure.ts';
import { attachmentConfig, parameters } from './request.ts';
import { atLeast } from './version.ts';

/**
 * Runs all plugins of a network in reverse order. One that fails does not keep the others from
 * giving back what they hold: a failure here is often lasting, and an address is better freed now.
 *
 * @param netns the pinned namespace; empty where it is gone.
 * @param onFailure is told of every failure.
 * @throws the first failure, once all have had their turn. To be repeated until it succeeds.
 */
export async function delNetwork(
  host: PluginHost,
  network: NetworkConf,
  attachment: CniAttachment,
  netns: string,
  onFailure: (error: unknown) => void,
): Promise<void> {
  // CNI spec 0.4.0 brought the result to DEL.
  const result = atLeast(attachment.cniVersion, '0.4.0') ? attachment.result : undefined;
  const failures: unknown[] = [];
  for (const plugin of network.plugins.toReversed()) {
    try {
      await callPlugin(host, {
        plugin: plugin.type,
        command: 'DEL',
        network: network.name,
        config: attachmentConfig(network, attachment, plugin, result),
        attachment: parameters(attachment, netns),
      });
    } catch (error) {
      if (isDone(error, netns)) continue;
      failures.push(error);
      onFailure(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}

/**
 * A plugin that knows nothing of the container has nothing to do. So has one that complains about
 * a missing file where it was told that the namespace is gone: plugins before CNI spec 0.4.0 open
 * it all the same (containernetworking/plugins#210).
 */
function isDone(error: unknown, netns: string): boolean {
  if (!(error instanceof CniFailure)) return false;
  if (error.code === UNKNOWN_CONTAINER) return true;
  return (
    netns === '' && error.code !== undefined && /no such file or directory/.test(error.message)
  );
}
