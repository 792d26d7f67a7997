import { CoracleError } from '../../errors.ts';
import { isObject, type NetworkConf } from './conf.ts';
import { callPlugin, type PluginHost } from './exec.ts';
import { type CallSite, CniFailure } from './failure.ts';
import { findPlugin, locatePlugin } from './find-plugin.ts';
import { type CniVersion, NEWEST } from './version.ts';

/** A plugin has nothing to do for VERSION but to print, ms. */
const VERSION_TIMEOUT_MS = 10_000;

/** Asks plugins which versions they speak, once for each file as it is. */
export class PluginVersions {
  readonly #host: PluginHost;
  readonly #known = new Map<string, { file: string; versions: readonly string[] | undefined }>();

  constructor(host: PluginHost) {
    const timeoutMs = Math.min(host.timeoutMs, VERSION_TIMEOUT_MS);
    this.#host = { addon: host.addon, binDirs: host.binDirs, timeoutMs };
  }

  /**
   * The highest version of a configuration that all of its plugins speak.
   *
   * @throws FailedPrecondition naming the plugin that is missing or speaks none of them.
   */
  async negotiate(network: NetworkConf): Promise<CniVersion> {
    const types = [...new Set(network.plugins.map((plugin) => plugin.type))];
    // All of them to the end: no plugin runs on when this has returned.
    const spoken = await Promise.allSettled(
      types.map((type) => this.#versionsOf(network.name, type)),
    );
    let left = network.versions;
    for (const [i, type] of types.entries()) {
      const answer = spoken[i];
      if (answer?.status === 'rejected') throw answer.reason;
      const versions = answer?.value;
      const before = left;
      if (versions) left = left.filter((version) => versions.includes(version));
      if (left.length > 0) continue;
      throw new CoracleError(
        'FailedPrecondition',
        `CNI network ${network.name}: plugin ${type} speaks CNI ${versions?.join(', ')}, not ${before.join(', ')}`,
        { reason: 'CniVersion' },
      );
    }
    return left[0] ?? NEWEST;
  }

  /** Undefined where the plugin does not tell: it is taken at the configuration's word. */
  async #versionsOf(network: string, plugin: string): Promise<readonly string[] | undefined> {
    const site = { plugin, command: 'VERSION', network } as const;
    const file = await this.#identify(plugin);
    const known = this.#known.get(plugin);
    if (file !== '' && known?.file === file) return known.versions;
    await findPlugin(this.#host.binDirs, site);
    const versions = await this.#ask(site);
    this.#known.set(plugin, { file, versions });
    return versions;
  }

  /** The file that a plugin is now; empty where there is none. */
  async #identify(plugin: string): Promise<string> {
    const found = await locatePlugin(this.#host.binDirs, plugin);
    if (!found) return '';
    const { dev, ino, mode, size, mtimeMs } = found.stats;
    return [found.path, dev, ino, mode, size, mtimeMs].join(' ');
  }

  async #ask(site: CallSite & { command: 'VERSION' }): Promise<readonly string[] | undefined> {
    // Plugins built with early libraries want all variables set, whatever the command.
    const attachment = { sandboxId: '', netns: 'dummy', ifName: 'dummy', args: '' };
    let answer: unknown;
    try {
      const config = { cniVersion: NEWEST };
      answer = JSON.parse(await callPlugin(this.#host, { ...site, config, attachment }));
    } catch (error) {
      if (!(error instanceof CniFailure)) return undefined;
      if (error.kind === 'DeadlineExceeded') throw error;
      // The command came with 0.2.0.
      return error.message.includes('unknown CNI_COMMAND') ? ['0.1.0'] : undefined;
    }
    if (!isObject(answer)) return undefined;
    const { cniVersion, supportedVersions } = answer;
    if (Array.isArray(supportedVersions) && supportedVersions.length > 0) {
      return supportedVersions.map(String);
    }
    return cniVersion === '0.2.0' ? ['0.1.0', '0.2.0'] : undefined;
  }
}
