import type { CniAttachment } from './attachments.ts';
import type { NetworkConf } from './conf.ts';
import { callPlugin, type PluginHost } from './exec.ts';
import { attachmentConfig, parameters } from './request.ts';
import { atLeast } from './version.ts';

/**
 * Asks each plugin whether an attachment is as it was made (CNI spec 0.4.0 and later).
 *
 * @returns false where nobody may be asked: the version has no CHECK, the configuration forbids it,
 *   or ADD has not succeeded.
 * @throws the first failure.
 */
export async function checkNetwork(
  host: PluginHost,
  network: NetworkConf,
  attachment: CniAttachment,
): Promise<boolean> {
  const { cniVersion, result, netns } = attachment;
  if (!atLeast(cniVersion, '0.4.0') || network.disableCheck || !result) return false;
  for (const plugin of network.plugins) {
    await callPlugin(host, {
      plugin: plugin.type,
      command: 'CHECK',
      network: network.name,
      config: attachmentConfig(network, attachment, plugin, result),
      attachment: parameters(attachment, netns),
    });
  }
  return true;
}
