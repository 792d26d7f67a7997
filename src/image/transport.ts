import { isIP } from 'node:net';
import { Agent, type Dispatcher, EnvHttpProxyAgent, request } from 'undici';
import { abortError, CoracleError, messageOf } from '../errors.ts';

export interface RequestOptions {
  headers?: Record<string, string>;
  /** Sent by POST. */
  form?: URLSearchParams;
  signal: AbortSignal;
}

export type Response = Pick<Dispatcher.ResponseData, 'statusCode' | 'headers' | 'body'>;

const MAX_REDIRECTS = 5;
const MAX_SMALL_BYTES = 1 << 20;

/** HTTP towards registries: connections, time limits, redirects, and errors in our own kinds. */
export class Transport {
  readonly #dispatcher: Dispatcher;

  constructor() {
    const options: Agent.Options = {
      connect: { timeout: 30_000 },
      headersTimeout: 60_000,
      // A pull may take as long as it takes, but not five minutes without a byte.
      bodyTimeout: 300_000,
    };
    const { env } = process;
    const proxied = ['http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY'].some((k) => env[k]);
    this.#dispatcher = proxied ? new EnvHttpProxyAgent(options) : new Agent(options);
  }

  /**
   * Sends a request and follows redirects; credentials stay with the origin that they were for.
   * The caller consumes the body whatever the status is. Throws Unavailable (RegistryUnavailable)
   * where no answer came.
   */
  async send(url: URL, options: RequestOptions): Promise<Response> {
    let target = url;
    let headers = { 'user-agent': 'coracle', ...options.headers };
    for (let redirects = 0; ; redirects += 1) {
      const response = await this.#once(target, headers, options);
      const location = response.headers.location;
      if (![301, 302, 303, 307, 308].includes(response.statusCode) || !location) return response;
      await response.body.dump();
      if (redirects === MAX_REDIRECTS) throw unavailable(url, 'redirects too often');
      const next = resolveLocation(target, String(location));
      if (next.protocol !== 'https:' && target.protocol === 'https:') {
        throw unavailable(url, `redirects to ${next.origin}, in the clear`);
      }
      if (next.origin !== target.origin) {
        const { authorization: _, ...rest } = headers as Record<string, string>;
        headers = rest as typeof headers;
      }
      target = next;
    }
  }

  /** A reply of at most 1 MiB, read in full. Throws as `failure` does where it is no success. */
  async small(url: URL, options: RequestOptions): Promise<Buffer> {
    const response = await this.send(url, options);
    if (response.statusCode >= 300) throw await failure(url, response);
    return readBody(response, MAX_SMALL_BYTES, url.host);
  }

  async close(): Promise<void> {
    await this.#dispatcher.destroy();
  }

  async #once(url: URL, headers: Record<string, string>, options: RequestOptions) {
    try {
      return await request(url, {
        dispatcher: this.#dispatcher,
        method: options.form ? 'POST' : 'GET',
        headers: options.form
          ? { ...headers, 'content-type': 'application/x-www-form-urlencoded' }
          : headers,
        body: options.form ? options.form.toString() : null,
        signal: options.signal,
      });
    } catch (error) {
      if (options.signal.aborted) throw abortError(options.signal);
      throw unavailable(url, messageOf(error), error);
    }
  }
}

/**
 * The base URL of a registry. Docker's has another name than its host; loopback hosts speak plain
 * HTTP, as test registries and node-local caches do.
 */
export function registryUrl(registry: string): URL {
  if (registry === 'docker.io') return new URL('https://registry-1.docker.io');
  const url = new URL(`https://${registry}`);
  return isLoopback(url.hostname) ? new URL(`http://${registry}`) : url;
}

export function isLoopback(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, '');
  if (host === 'localhost' || host === '::1') return true;
  return isIP(host) === 4 && host.startsWith('127.');
}

/** The body as one buffer. Throws FailedPrecondition where it has more than `limit` bytes. */
export async function readBody(response: Response, limit: number, what: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of bodyOf(response, what)) {
    size += chunk.length;
    if (size > limit) {
      throw new CoracleError('FailedPrecondition', `${what}: more than ${limit} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** The body's chunks; a connection that breaks is Unavailable. */
export async function* bodyOf(response: Response, what: string): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of response.body) yield chunk as Buffer;
  } catch (error) {
    if (error instanceof CoracleError) throw error;
    throw new CoracleError('Unavailable', `${what}: ${messageOf(error)}`, {
      cause: error,
      reason: 'RegistryUnavailable',
    });
  }
}

/** The error that an unsuccessful response stands for; consumes its body. */
export async function failure(url: URL, response: Response): Promise<CoracleError> {
  const { statusCode } = response;
  const detail = await registryMessage(response);
  const message = `${url.host}${url.pathname}: HTTP ${statusCode}${detail}`;
  if (statusCode === 404) return new CoracleError('NotFound', message);
  if (statusCode === 401 || statusCode === 403) {
    return new CoracleError('FailedPrecondition', message, { reason: 'AuthorizationFailed' });
  }
  if (statusCode === 408 || statusCode === 429 || statusCode >= 500) {
    return new CoracleError('Unavailable', message, { reason: 'RegistryUnavailable' });
  }
  return new CoracleError('FailedPrecondition', message);
}

/** ": CODE: text" of the distribution spec's error body; empty where there is none. */
async function registryMessage(response: Response): Promise<string> {
  try {
    const text = (await readBody(response, 64 << 10, '')).toString('utf8');
    const [first] =
      (JSON.parse(text) as { errors?: { code?: string; message?: string }[] }).errors ?? [];
    return first ? `: ${first.code ?? ''}: ${first.message ?? ''}` : '';
  } catch {
    return '';
  }
}

function resolveLocation(from: URL, location: string): URL {
  try {
    const next = new URL(location, from);
    if (next.protocol === 'https:' || next.protocol === 'http:') return next;
  } catch {}
  throw unavailable(from, `redirects to ${JSON.stringify(location)}`);
}

function unavailable(url: URL, why: string, cause?: unknown): CoracleError {
  return new CoracleError('Unavailable', `registry ${url.host}: ${why}`, {
    cause,
    reason: 'RegistryUnavailable',
  });
}
