import type { LoadedConf } from './conf-dir.ts';

export interface NetworkFacts {
  readonly confDir: string;
  readonly binDirs: readonly string[];
  readonly ifName: string;
  readonly loaded: LoadedConf;
  readonly lastProblem: string;
  readonly attachments: number;
}

/**
 * What a verbose Status shows. The first four keys are containerd's `cniconfig`, which people and
 * scripts know from `crictl info`.
 */
export function describeNetwork(facts: NetworkFacts): Record<string, unknown> {
  const { network, file, skipped } = facts.loaded;
  const networks = network
    ? [
        {
          Config: {
            Name: network.name,
            CNIVersion: network.versions[0],
            Plugins: network.plugins.map(({ raw }) => ({
              Network: raw,
              Source: JSON.stringify(raw),
            })),
            Source: network.text,
          },
          IFName: facts.ifName,
        },
      ]
    : [];
  return {
    PluginDirs: facts.binDirs,
    PluginConfDir: facts.confDir,
    Prefix: facts.ifName.replace(/\d+$/, ''),
    Networks: networks,
    File: file,
    Skipped: skipped,
    Attachments: facts.attachments,
    LastProblem: facts.lastProblem,
  };
}
