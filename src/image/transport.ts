import type { Dispatcher } from 'undici';
import { abortError, CoracleError } from '../errors.ts';
import { answerFailure } from './answer.ts';
import type { Connections } from './connections.ts';
import { httpClient } from './http-client.ts';
import { readBody } from './read-body.ts';
import { connectionFailure, RegistryError, UNAVAILABLE } from './registry-error.ts';

export interface RequestOptions {
  /** Default: GET; POST with a form. */
  method?: 'GET' | 'HEAD';
  headers?: Record<string, string>;
  form?: URLSearchParams;
  /** For the answer to begin, where that is less than the connection's limit, ms. */
  patienceMs?: number | undefined;
  signal: AbortSignal;
}

export type Response = Pick<Dispatcher.ResponseData, 'statusCode' | 'headers' | 'body'>;

export interface TransportOptions {
  /** Of the host that this is for: its headers and client certificates are for nobody else. */
  origin: string;
  /** Sent with every request to `origin`. */
  headers: Readonly<Record<string, string | string[]>>;
  /** Named where TLS fails. */
  hostsFile: string;
}

const MAX_REDIRECTS = 5;
const MAX_SMALL_BYTES = 1 << 20;

/** HTTP towards one host of a registry: headers, redirects, and errors in our own kinds. */
export class Transport {
  readonly #connections: Connections;
  readonly #options: TransportOptions;

  constructor(connections: Connections, options: TransportOptions) {
    this.#connections = connections;
    this.#options = options;
  }

  /**
   * Sends a request and follows redirects; credentials stay with the origin that they were for.
   * The caller consumes the body whatever the status is. Throws RegistryError where no answer came.
   */
  async send(url: URL, options: RequestOptions): Promise<Response> {
    let target = url;
    let headers: Record<string, string> = { ...options.headers };
    for (let redirects = 0; ; redirects += 1) {
      const response = await this.#once(target, headers, options);
      const location = response.headers.location;
      if (![301, 302, 303, 307, 308].includes(response.statusCode) || !location) return response;
      await response.body.dump();
      if (redirects === MAX_REDIRECTS) throw refused(url, 'it redirects too often');
      const next = resolveLocation(target, String(location));
      if (next.protocol !== 'https:' && target.protocol === 'https:') {
        throw refused(url, `it redirects to ${next.origin}, in the clear`);
      }
      if (next.origin !== target.origin) {
        if (options.form) throw refused(url, `it redirects credentials to ${next.origin}`);
        const { authorization: _, ...rest } = headers;
        headers = rest;
      }
      target = next;
    }
  }

  /** A reply of at most 1 MiB, read in full. Throws RegistryError where it is no success. */
  async small(
    url: URL,
    options: RequestOptions,
  ): Promise<{ bytes: Buffer; headers: Response['headers'] }> {
    const response = await this.send(url, options);
    if (response.statusCode >= 300) throw await answerFailure(url, response);
    const bytes = await readBody(
      this.body(response, url, options.signal),
      MAX_SMALL_BYTES,
      url.host,
    );
    return { bytes, headers: response.headers };
  }

  /** The body's chunks; a connection that breaks is Unavailable. */
  async *body(response: Response, url: URL, signal: AbortSignal): AsyncGenerator<Buffer> {
    try {
      for await (const chunk of response.body) yield chunk as Buffer;
    } catch (error) {
      throw this.#failure(url, error, signal);
    }
  }

  async #once(url: URL, headers: Record<string, string>, options: RequestOptions) {
    const { origin, headers: own } = this.#options;
    const { form, signal } = options;
    const headersTimeout = this.#patience(options);
    const foreign = url.origin !== origin;
    try {
      return await httpClient().request(url, {
        dispatcher: await this.#connections.dispatcher(url, foreign),
        method: form ? 'POST' : (options.method ?? 'GET'),
        headers: {
          'user-agent': 'coracle',
          // Bytes are counted and hashed as they are stored: none may be packed on the way.
          'accept-encoding': 'identity',
          ...(foreign ? {} : own),
          ...(form && { 'content-type': 'application/x-www-form-urlencoded' }),
          ...headers,
        },
        body: form ? form.toString() : null,
        headersTimeout,
        signal,
      });
    } catch (error) {
      throw this.#failure(url, error, signal, headersTimeout);
    }
  }

  #patience({ patienceMs }: RequestOptions): number {
    const { progressTimeoutMs } = this.#connections.options;
    if (patienceMs === undefined) return progressTimeoutMs;
    return progressTimeoutMs === 0 ? patienceMs : Math.min(patienceMs, progressTimeoutMs);
  }

  #failure(
    url: URL,
    error: unknown,
    signal: AbortSignal,
    silenceMs = this.#connections.options.progressTimeoutMs,
  ): CoracleError {
    if (signal.aborted) return abortError(signal);
    if (error instanceof CoracleError) return error;
    const { dialTimeoutMs } = this.#connections.options;
    const { hostsFile } = this.#options;
    return connectionFailure(error, { host: url.host, dialTimeoutMs, silenceMs, hostsFile });
  }
}

/** The location itself is not shown: its query may be the key to a storage. */
function resolveLocation(from: URL, location: string): URL {
  try {
    const next = new URL(location, from);
    if (next.protocol === 'https:' || next.protocol === 'http:') return next;
  } catch {}
  throw refused(from, 'it redirects to what is no HTTP URL');
}

function refused(url: URL, why: string): RegistryError {
  return new RegistryError('Unavailable', `registry ${url.host}: ${why}`, {
    trouble: 'answer',
    reason: UNAVAILABLE,
  });
}
