import { CoracleError } from '../errors.ts';
import { Authorizer, type RegistryAuth } from './auth.ts';
import { type Digest, digestOf } from './digest.ts';
import { MAX_MANIFEST_BYTES, manifestTypes } from './manifest.ts';
import { nameOf, type Reference } from './reference.ts';
import { retry } from './retry.ts';
import {
  bodyOf,
  failure,
  type Response,
  readBody,
  registryUrl,
  type Transport,
} from './transport.ts';

export interface FetchedManifest {
  bytes: Buffer;
  digest: Digest;
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
  async manifest(tagOrDigest: string, signal: AbortSignal): Promise<FetchedManifest> {
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

  /** A blob's bytes. The reader checks them; a connection that breaks throws Unavailable. */
  async blob(digest: Digest, signal: AbortSignal): Promise<AsyncIterable<Buffer>> {
    const response = await this.#get(`blobs/${digest}`, {}, signal);
    return bodyOf(response, `blob ${digest} of ${this.#name}`);
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
