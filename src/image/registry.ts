import { createHash } from 'node:crypto';
import { authFor, hasSecret, type RegistryAuth } from './auth.ts';
import { Authorizer } from './authorizer.ts';
import { Connections, trustStamp } from './connections.ts';
import { Endpoint } from './endpoint.ts';
import { findHosts, type RegistryHost } from './hosts.ts';
import { nameOf, type Reference } from './reference.ts';
import { Repository } from './repository.ts';
import { TokenCache } from './token-cache.ts';
import { Transport } from './transport.ts';

export { type BlobStream, type FetchedManifest, Repository } from './repository.ts';

export interface RegistriesOptions {
  /** Directories of `<host>/hosts.toml` files, searched in this order. */
  configDirs: readonly string[];
  /** A request that gets no byte for so long fails, ms; 0 for never. */
  progressTimeoutMs: number;
  /** How long a host keeps those waiting who could ask another one, ms; default: 30,000. */
  patienceMs?: number;
}

/** Ways of connecting that are kept; what goes beyond is forgotten and ends when it is idle. */
const MAX_CONNECTIONS = 64;
const DEFAULT_PATIENCE_MS = 30_000;

/** Every registry that this process talks to. */
export class Registries {
  readonly #options: RegistriesOptions;
  readonly #connections = new Map<string, Connections>();
  readonly #tokens = new TokenCache();

  constructor(options: RegistriesOptions) {
    this.#options = options;
  }

  /**
   * For one pull: reads the configuration of the registry when it is first used, and keeps what it
   * learns of the hosts.
   */
  repository(reference: Reference, auth: RegistryAuth | undefined): Repository {
    const { patienceMs = DEFAULT_PATIENCE_MS } = this.#options;
    return new Repository(nameOf(reference), () => this.#endpoints(reference, auth), patienceMs);
  }

  /** Ends every connection; what is under way fails. */
  async close(): Promise<void> {
    await Promise.all([...this.#connections.values()].map((one) => one.destroy()));
    this.#connections.clear();
  }

  async #endpoints(reference: Reference, auth: RegistryAuth | undefined): Promise<Endpoint[]> {
    const { registry, repository } = reference;
    const hosts = await findHosts(this.#options.configDirs, registry);
    const stamp = await trustStamp();
    return hosts.map((host) => {
      const { root, headers, hostsFile } = host;
      const transport = new Transport(this.#connect(host, stamp), {
        origin: root.origin,
        headers,
        hostsFile,
      });
      const shown = authFor(auth, host);
      const authorizer = new Authorizer({
        transport,
        root,
        auth: shown,
        scope: `repository:${repository}:pull`,
        tokens: this.#tokens,
      });
      const anonymous = !hasSecret(shown);
      return new Endpoint(host, transport, authorizer, { registry, repository, anonymous });
    });
  }

  /** Hosts that are trusted alike share connections, from pull to pull. */
  #connect(host: RegistryHost, stamp: string): Connections {
    const { tls, dialTimeoutMs } = host;
    // A changed file is another way of connecting, and a key is not kept in the clear for it.
    const key = createHash('sha256')
      .update(JSON.stringify([tls, dialTimeoutMs, stamp]))
      .digest('base64');
    const { progressTimeoutMs } = this.#options;
    const found =
      this.#connections.get(key) ?? new Connections({ tls, dialTimeoutMs, progressTimeoutMs });
    this.#connections.delete(key);
    this.#connections.set(key, found);
    const [oldest] = this.#connections.keys();
    if (this.#connections.size > MAX_CONNECTIONS && oldest !== undefined) {
      this.#connections.delete(oldest);
    }
    return found;
  }
}
