import { answerFailure } from './answer.ts';
import type { Authorizer } from './authorizer.ts';
import type { RegistryHost } from './hosts.ts';
import { DENIED, RegistryError } from './registry-error.ts';
import type { Response, Transport } from './transport.ts';

export interface EndpointRequest {
  method?: 'GET' | 'HEAD';
  headers?: Record<string, string>;
  /** As of the transport. */
  patienceMs?: number | undefined;
  signal: AbortSignal;
}

/** One repository at one of the hosts that serve it. */
export class Endpoint {
  readonly host: RegistryHost;
  /** Whether it has served anything of this pull. */
  served = false;
  /** Whether it failed when it was last asked in a way that may pass; then others go first. */
  failing = false;

  readonly #transport: Transport;
  readonly #authorizer: Authorizer;
  readonly #base: URL;
  readonly #namespace: string | undefined;
  readonly #anonymous: boolean;

  constructor(
    host: RegistryHost,
    transport: Transport,
    authorizer: Authorizer,
    names: { registry: string; repository: string; anonymous: boolean },
  ) {
    this.host = host;
    this.#transport = transport;
    this.#authorizer = authorizer;
    this.#base = new URL(`${names.repository}/`, host.root);
    this.#namespace = host.proxy ? names.registry : undefined;
    this.#anonymous = names.anonymous;
  }

  url(path: string): URL {
    const url = new URL(path, this.#base);
    // A mirror of several registries learns from it whose image this is.
    if (this.#namespace !== undefined) url.searchParams.set('ns', this.#namespace);
    return url;
  }

  /**
   * The response, whatever its status is but 401: that is answered once, then it throws. Throws
   * RegistryError.
   */
  async ask(path: string, request: EndpointRequest): Promise<Response> {
    const url = this.url(path);
    const { signal } = request;
    // Once with what we have, once with what the host then asks for.
    for (let attempt = 0; ; attempt += 1) {
      const authorization = await this.#authorizer.header(signal);
      const response = await this.#transport.send(url, {
        ...request,
        headers: { ...request.headers, ...(authorization && { authorization }) },
      });
      if (response.statusCode !== 401) return response;
      const challenge = response.headers['www-authenticate'];
      if (!challenge) throw await answerFailure(url, response);
      if (attempt > 0) throw this.#denied((await answerFailure(url, response)).message);
      await response.body.dump();
      const text = Array.isArray(challenge) ? challenge.join(', ') : challenge;
      if (!(await this.#authorizer.answer(authorization, text, signal))) {
        throw this.#denied(`registry ${url.host}: access to ${url.pathname} is denied`);
      }
    }
  }

  /** As `ask`, but throws for every status that is not among `expected`. */
  async get(
    path: string,
    request: EndpointRequest,
    expected: readonly number[] = [200],
  ): Promise<Response> {
    const response = await this.ask(path, request);
    if (expected.includes(response.statusCode)) return response;
    throw await answerFailure(this.url(path), response);
  }

  /** The body's chunks. A connection that breaks throws Unavailable, and marks the host. */
  async *body(response: Response, path: string, signal: AbortSignal): AsyncGenerator<Buffer> {
    try {
      yield* this.#transport.body(response, this.url(path), signal);
    } catch (error) {
      this.failing = true;
      throw error;
    }
  }

  #denied(what: string): RegistryError {
    const why = this.#anonymous
      ? 'it wants credentials, and none were given for it'
      : 'it does not accept the credentials that were given';
    return new RegistryError('FailedPrecondition', `${what}: ${why}`, {
      trouble: 'answer',
      reason: DENIED,
    });
  }
}
