import { CoracleError, type ErrorKind, messageOf } from '../errors.ts';

/**
 * Where a request failed: the host answered and said no; no connection, or one that broke; its name
 * has no address; it went silent; TLS was not agreed on.
 */
export type Trouble = 'answer' | 'connection' | 'name' | 'stall' | 'tls';

export interface RegistryErrorOptions {
  trouble: Trouble;
  /** HTTP's, where there was an answer. */
  status?: number;
  cause?: unknown;
  reason?: string | undefined;
  /** What Retry-After asks for, ms. */
  retryAfterMs?: number | undefined;
}

/**
 * What a host of a registry answered, or why it did not. Messages carry hosts and paths, never a
 * query: where a registry redirects to, it is a secret.
 */
export class RegistryError extends CoracleError {
  readonly trouble: Trouble;
  readonly status: number | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(kind: ErrorKind, message: string, options: RegistryErrorOptions) {
    const { cause, reason } = options;
    super(kind, message, { cause, ...(reason !== undefined && { reason }) });
    this.trouble = options.trouble;
    this.status = options.status;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** The reason that kubelet knows for a registry that cannot serve now. */
export const UNAVAILABLE = 'RegistryUnavailable';
export const DENIED = 'AuthorizationFailed';
/** TLS that cannot be agreed on before somebody changes a file. */
export const UNTRUSTED = 'RegistryUntrusted';

export interface ConnectionContext {
  host: string;
  /** The time limits that the connection had, ms. */
  dialTimeoutMs: number;
  silenceMs: number;
  /** The hosts.toml that could make TLS work. */
  hostsFile: string;
}

/** Verification failures of OpenSSL (X509_V_ERR_*) as Node.js spells them, in plain words. */
const UNTRUSTED_CODES: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: 'it is self-signed',
  SELF_SIGNED_CERT_IN_CHAIN: 'its CA is not known',
  UNABLE_TO_GET_ISSUER_CERT: 'its CA is not known',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its CA is not known',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its CA is not known',
  CERT_UNTRUSTED: 'its CA is not trusted',
  INVALID_CA: 'its issuer is no CA',
};

const BROKEN_CODES: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'the connection broke',
  EPIPE: 'the connection broke',
  UND_ERR_SOCKET: 'the connection broke',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'no route to the network',
  ETIMEDOUT: 'the connection timed out',
};

/** The error that stands for a request without an answer, or for a body that broke off. */
export function connectionFailure(error: unknown, context: ConnectionContext): RegistryError {
  const { host, hostsFile } = context;
  const code = codeOf(error);
  const make = (kind: ErrorKind, why: string, trouble: Trouble, reason: string) =>
    new RegistryError(kind, `registry ${host}: ${why}`, { trouble, reason, cause: error });
  const unavailable = (why: string, trouble: Trouble) =>
    make('Unavailable', why, trouble, UNAVAILABLE);

  const untrusted = UNTRUSTED_CODES[code];
  if (untrusted !== undefined) {
    const why = `its certificate is not trusted: ${untrusted}; put its CA into ${hostsFile} (ca)`;
    return make('FailedPrecondition', why, 'tls', UNTRUSTED);
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID' || /^CERT_/.test(code)) {
    const why = `its certificate is not valid: ${messageOf(error)}`;
    return make('FailedPrecondition', why, 'tls', UNTRUSTED);
  }
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG') {
    const why = `it does not speak TLS; if plain HTTP is meant, name it with http:// in ${hostsFile}`;
    return make('FailedPrecondition', why, 'tls', UNTRUSTED);
  }
  if (/ALERT_(CERTIFICATE_REQUIRED|BAD_CERTIFICATE|UNKNOWN_CA|HANDSHAKE_FAILURE)/.test(code)) {
    const why = `it refuses the TLS handshake (${code}); where it wants a certificate of its clients, name one in ${hostsFile} (client)`;
    return make('FailedPrecondition', why, 'tls', UNTRUSTED);
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return unavailable(`its name does not resolve (${code})`, 'name');
  }
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT') {
    return unavailable(`it sent no byte for ${seconds(context.silenceMs)}`, 'stall');
  }
  if (code === 'UND_ERR_CONNECT_TIMEOUT') {
    return unavailable(`no connection within ${seconds(context.dialTimeoutMs)}`, 'connection');
  }
  const known = BROKEN_CODES[code];
  return unavailable(known ?? (messageOf(error) || code), 'connection');
}

/**
 * The error of several hosts that all failed: says what each said; `deciding` is the one whose kind
 * it has.
 */
export function allFailed(
  what: string,
  errors: readonly CoracleError[],
  deciding: CoracleError,
): CoracleError {
  if (errors.length === 1) return deciding;
  const message = `${what}: ${errors.map((error) => error.message).join('; ')}`;
  const waits = errors.flatMap((error) =>
    error instanceof RegistryError && error.retryAfterMs !== undefined ? [error.retryAfterMs] : [],
  );
  return new RegistryError(deciding.kind, message, {
    trouble: deciding instanceof RegistryError ? deciding.trouble : 'answer',
    reason: deciding.reason,
    cause: deciding,
    // The first host that wants to be asked again.
    retryAfterMs: waits.length > 0 ? Math.min(...waits) : undefined,
  });
}

/** An AggregateError (one per address that was tried) has its code, but maybe not its words. */
function codeOf(error: unknown): string {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const { code } = at as NodeJS.ErrnoException;
    // What undici wraps says more than its own "other side closed".
    if (code !== undefined && !(code === 'UND_ERR_SOCKET' && at.cause instanceof Error))
      return code;
  }
  return '';
}

function seconds(ms: number): string {
  return `${ms / 1000} s`;
}
