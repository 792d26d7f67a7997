import { CoracleError } from '../errors.ts';
import { Authorizer, type RegistryAuth } from './auth.ts';
import { type Digest, digestOf } from './digest.ts';
import { MAX_MANIFEST_BYTES, manifestTypes } from './manifest.ts';
import { nameOf, type Reference } from './reference.ts';
import { retry } from './retry.ts';
import { bodyOf, failure, type Response, readBody, registryUrl, Transport } from './transport.ts';

export interface FetchedManifest {
  bytes: Buffer;
  digest: Digest;
}

export interface BlobStream {
  /** Where the chunks begin: what was asked for, or 0 where the registry sends from the start. */
  offset: number;
  /** A connection that breaks throws Unavailable. */
  chunks: AsyncIterable<Buffer>;
}

export interface RegistriesOptions {
  /** Directories of `<host>/hosts.toml` files, searched in this order. */
  configDirs: readonly string[];
  /** A request that gets no byte for so long fails, ms; 0 for never. */
  progressTimeoutMs: number;
}

/** Every registry that this process talks to. */
export class Registries {
  readonly #transport: Transport;

  constructor(_options: RegistriesOptions) {
    this.#transport = new Transport();
  }

  /** For one pull: keeps what it learns of hosts and tokens as long as it lives. */
  repository(reference: Reference, auth: RegistryAuth | undefined): Repository {
    return new Repository(this.#transport, reference, auth);
  }

  /** Ends every connection; what is under way fails. */
  async close(): Promise<void> {
    await this.#transport.close();
  }
}

/** One repository of a registry, as the OCI distribution specification 1.1 has it; pull only. */
export class Repository {
  readonly #transport: Transport;
  readonly #authorizer: Authorizer;
  readonly #base: URL;
  readonly #name: string;

  constructor(transport: Transport, reference: Reference, auth: RegistryAuth | undefined) {
    this.#transport = transport;
    this.#name = nameOf(reference);
    this.#base = new URL(`/v2/${reference.repository}/`, registryUrl(reference.registry));
    this.#authorizer = new Authorizer(transport, auth, `repository:${reference.repository}:pull`);
  }

  /** A manifest or index by tag or digest; a digest is checked (DataLoss). */
  async manifest(
    tagOrDigest: string,
    signal: AbortSignal,
    _known?: (digest: Digest) => Promise<Buffer | undefined>,
  ): Promise<FetchedManifest> {
    const what = `manifest ${tagOrDigest} of ${this.#name}`;
    return retry(signal, async () => {
      const accept = manifestTypes.join(', ');
      const response = await this.#get(`manifests/${tagOrDigest}`, { accept }, signal);
      const bytes = await readBody(response, MAX_MANIFEST_BYTES, what);
      const digest = digestOf(bytes);
      if (tagOrDigest.includes(':') && digest !== tagOrDigest) {
        throw new CoracleError('DataLoss', `${what}: its digest is ${digest}`);
      }
      return { bytes, digest };
    });
  }

  /** A blob's bytes, unchecked, from `offset` on if the registry can. */
  async blob(digest: Digest, _offset: number, signal: AbortSignal): Promise<BlobStream> {
    const response = await this.#get(`blobs/${digest}`, {}, signal);
    return { offset: 0, chunks: bodyOf(response, `blob ${digest} of ${this.#name}`) };
  }

  async #get(
    path: string,
    headers: Record<string, string>,
    signal: AbortSignal,
  ): Promise<Response> {
    const url = new URL(path, this.#base);
    // Once with what we have, once with what the registry then asks for.
    for (let attempt = 0; ; attempt += 1) {
      const authorization = this.#authorizer.header;
      const response = await this.#transport.send(url, {
        headers: authorization ? { ...headers, authorization } : headers,
        signal,
      });
      if (response.statusCode === 200) return response;
      const challenge = response.headers['www-authenticate'];
      if (response.statusCode !== 401 || !challenge || attempt > 0) {
        throw await failure(url, response);
      }
      await response.body.dump();
      // Another request of this pull may have renewed the token meanwhile.
      if (this.#authorizer.header !== authorization) continue;
      const text = Array.isArray(challenge) ? challenge.join(', ') : challenge;
      if (!(await this.#authorizer.answer(url, text, signal))) {
        throw new CoracleError('FailedPrecondition', `${this.#name}: the registry denies access`, {
          reason: 'AuthorizationFailed',
        });
      }
    }
  }
}
