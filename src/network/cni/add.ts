import { messageOf, throwIfAborted } from '../../errors.ts';
import type { CniAttachment } from './attachments.ts';
import type { JsonObject, NetworkConf } from './conf.ts';
import { callPlugin, type PluginHost } from './exec.ts';
import { CniFailure } from './failure.ts';
import { attachmentConfig, parameters } from './request.ts';
import { readResult } from './result.ts';

export interface AddOptions {
  /** Looked at between plugins: one that runs ends by itself or at its deadline. */
  readonly signal?: AbortSignal | undefined;
  /** Called with each plugin's result. */
  readonly onResult: (result: JsonObject) => void;
}

/** Runs all plugins of a network in order, each with the result of the one before. */
export async function addNetwork(
  host: PluginHost,
  network: NetworkConf,
  attachment: CniAttachment,
  { signal, onResult }: AddOptions,
): Promise<JsonObject> {
  let result: JsonObject | undefined;
  for (const plugin of network.plugins) {
    throwIfAborted(signal);
    const site = { plugin: plugin.type, command: 'ADD', network: network.name } as const;
    const printed = await callPlugin(host, {
      ...site,
      config: attachmentConfig(network, attachment, plugin, result),
      attachment: parameters(attachment, attachment.netns),
    });
    try {
      result = readResult(printed, attachment.cniVersion);
    } catch (error) {
      throw new CniFailure(site, messageOf(error), { cause: error });
    }
    onResult(result);
  }
  return result ?? {};
}
