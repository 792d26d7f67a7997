import { readFile, stat } from 'node:fs/promises';
import { isIP } from 'node:net';
import { createSecureContext, rootCertificates, type SecureContext } from 'node:tls';
import type { buildConnector, Dispatcher } from 'undici';
import type { TlsMaterial } from './hosts-tls.ts';
import { httpClient } from './http-client.ts';

export interface ConnectionOptions {
  tls: TlsMaterial;
  /** For TCP and TLS together. */
  dialTimeoutMs: number;
  /** Between two bytes of a response, its first one included; 0 for any. */
  progressTimeoutMs: number;
}

/** Where distributions keep what the administrator trusts; SSL_CERT_FILE goes before them. */
const SYSTEM_BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
];
const PROXY_VARIABLES = ['http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY'];

/** Connections to hosts that are trusted in one way. Idle ones end by themselves. */
export class Connections {
  readonly options: ConnectionOptions;
  readonly #dispatchers = new Map<string, Dispatcher>();
  #roots: Promise<string[]> | undefined;

  constructor(options: ConnectionOptions) {
    this.options = options;
  }

  /**
   * For one request. A `foreign` URL is another host's than the one that the options are for: it is
   * not shown the client certificate. Loopback is never reached through a proxy.
   */
  async dispatcher(url: URL, foreign: boolean): Promise<Dispatcher> {
    const secure = url.protocol === 'https:';
    const anonymous = foreign && this.options.tls.client.length > 0;
    const direct = isLoopback(url.hostname);
    const key = JSON.stringify([secure, anonymous, direct]);
    const known = this.#dispatchers.get(key);
    if (known) return known;
    const context = secure ? await this.#context(anonymous) : undefined;
    // Another request may have made it meanwhile.
    const made = this.#dispatchers.get(key) ?? this.#make(context, direct);
    this.#dispatchers.set(key, made);
    return made;
  }

  /** Breaks whatever is under way. */
  async destroy(): Promise<void> {
    await Promise.all([...this.#dispatchers.values()].map((one) => one.destroy()));
    this.#dispatchers.clear();
  }

  #make(secureContext: SecureContext | undefined, direct: boolean): Dispatcher {
    const { tls, dialTimeoutMs, progressTimeoutMs } = this.options;
    const { Agent, EnvHttpProxyAgent, buildConnector } = httpClient();
    const connect = {
      timeout: dialTimeoutMs,
      ...(secureContext && { secureContext, rejectUnauthorized: !tls.skipVerify }),
    };
    const options = { headersTimeout: progressTimeoutMs, bodyTimeout: progressTimeoutMs };
    const proxied = !direct && PROXY_VARIABLES.some((name) => process.env[name]);
    return proxied
      ? new EnvHttpProxyAgent({ ...options, connect, requestTls: connect })
      : new Agent({ ...options, connect: hearAlerts(buildConnector(connect)) });
  }

  /** Made once: parsing every root takes milliseconds. */
  async #context(anonymous: boolean): Promise<SecureContext> {
    const { tls } = this.options;
    this.#roots ??= tls.skipVerify ? Promise.resolve([]) : systemRoots();
    const client = anonymous ? [] : tls.client;
    return createSecureContext({
      ca: [...(await this.#roots), ...tls.ca],
      cert: client.map((pair) => pair.cert),
      key: client.map((pair) => pair.key),
    });
  }
}

/**
 * A host that wants a certificate of its client says so by a TLS alert after the handshake, and
 * ends the connection. Only if the socket is destroyed there, the alert becomes the request's error
 * instead of that end.
 */
function hearAlerts(connector: buildConnector.connector): buildConnector.connector {
  return (target, callback) => {
    connector(target, (...result) => {
      const [, socket] = result;
      socket?.once('error', () => socket.destroy());
      callback(...result);
    });
  };
}

export function isLoopback(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, '');
  if (host === 'localhost' || host === '::1') return true;
  return isIP(host) === 4 && host.startsWith('127.');
}

/**
 * The host's own CAs, as other programs on it trust them; Node.js' where the host has none. Node.js
 * takes given CAs instead of its own, never beside them.
 */
async function systemRoots(): Promise<string[]> {
  const bundle = await systemBundle();
  return bundle === undefined ? [...rootCertificates] : [await readFile(bundle, 'utf8')];
}

async function systemBundle(): Promise<string | undefined> {
  for (const path of [process.env.SSL_CERT_FILE, ...SYSTEM_BUNDLES]) {
    if (path && (await stat(path).catch(() => undefined))?.isFile()) return path;
  }
  return undefined;
}

/** Changes with the host's CAs, so that connections that trusted the former are not used again. */
export async function trustStamp(): Promise<string> {
  const bundle = await systemBundle();
  if (bundle === undefined) return '';
  const { mtimeMs, size } = await stat(bundle);
  return `${bundle} ${mtimeMs} ${size}`;
}
