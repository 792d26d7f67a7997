import * as v from 'valibot';
import { CoracleError } from '../errors.ts';
import { credentials, hasSecret, type RegistryAuth } from './auth.ts';
import type { Challenge } from './challenge.ts';
import { DENIED, RegistryError, UNAVAILABLE } from './registry-error.ts';
import type { Transport } from './transport.ts';

export interface Token {
  value: string;
  /** From now on, ms. */
  lifetimeMs: number;
}

/** What a token is good for that names no time (distribution's spec/auth/token.md). */
const DEFAULT_LIFETIME_S = 60;
const CLIENT_ID = 'coracle';

const tokenSchema = v.object({
  token: v.optional(v.string()),
  access_token: v.optional(v.string()),
  expires_in: v.optional(v.number()),
  issued_at: v.optional(v.string()),
});

/**
 * Fetches the bearer token that a challenge of `url` asks for, by the token protocol of the
 * distribution project (spec/auth/token.md, oauth.md): an identity token by POST, a user or nobody
 * by GET; where the endpoint does not know the one method, by the other if the credentials allow.
 */
export async function fetchToken(
  transport: Transport,
  url: URL,
  challenge: Challenge,
  auth: RegistryAuth | undefined,
  defaultScope: string,
  signal: AbortSignal,
): Promise<Token> {
  const { service, scope } = challenge.parameters;
  const endpoint = endpointOf(url, challenge, hasSecret(auth));
  const query = new URLSearchParams();
  if (service) query.set('service', service);
  query.set('scope', scope ?? defaultScope);
  const user = credentials(auth);

  const get = () => {
    const target = new URL(endpoint);
    for (const [key, value] of query) target.searchParams.set(key, value);
    return transport.small(target, { headers: user ? { authorization: basic(user) } : {}, signal });
  };
  const post = () => {
    const form = new URLSearchParams({ ...Object.fromEntries(query), client_id: CLIENT_ID });
    if (auth?.identityToken) {
      form.set('grant_type', 'refresh_token');
      form.set('refresh_token', auth.identityToken);
    } else if (user) {
      form.set('grant_type', 'password');
      form.set('username', user[0]);
      form.set('password', user[1]);
    }
    return transport.small(endpoint, { form, signal });
  };
  const [first, second] = auth?.identityToken ? [post, user && get] : [get, user && post];
  let reply: Awaited<ReturnType<typeof get>>;
  try {
    reply = await first();
  } catch (error) {
    const status = error instanceof RegistryError ? error.status : undefined;
    if (second === undefined || (status !== 404 && status !== 405)) throw error;
    reply = await second();
  }
  return readToken(reply.bytes, reply.headers.date, endpoint);
}

/** The value of an Authorization header. */
export function basic([user, password]: [string, string]): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

/** Secrets go to a realm over TLS, or over plain HTTP to the host that speaks that itself. */
function endpointOf(url: URL, challenge: Challenge, secret: boolean): URL {
  const { realm = '' } = challenge.parameters;
  const endpoint = URL.canParse(realm) ? new URL(realm) : undefined;
  if (endpoint === undefined || !/^https?:$/.test(endpoint.protocol)) {
    throw new RegistryError('Unavailable', `registry ${url.host}: its token realm is no URL`, {
      trouble: 'answer',
      reason: UNAVAILABLE,
    });
  }
  const clear = endpoint.protocol !== 'https:';
  if (secret && clear && (url.protocol === 'https:' || endpoint.hostname !== url.hostname)) {
    throw new RegistryError(
      'FailedPrecondition',
      `registry ${url.host} wants credentials sent to ${endpoint.origin} in the clear`,
      { trouble: 'answer', reason: DENIED },
    );
  }
  return endpoint;
}

function readToken(bytes: Buffer, date: string | string[] | undefined, endpoint: URL): Token {
  const parsed = parse(bytes);
  const value = parsed?.token || parsed?.access_token;
  if (!parsed || !value) {
    throw new CoracleError('Unavailable', `${endpoint.host} sent no token`, {
      reason: UNAVAILABLE,
    });
  }
  // Both times are the server's, so that no clock of ours has to agree with it.
  const age = Date.parse(String(date)) - Date.parse(parsed.issued_at ?? '');
  const lifetimeMs = (parsed.expires_in || DEFAULT_LIFETIME_S) * 1000;
  return { value, lifetimeMs: Math.max(lifetimeMs - (age > 0 ? age : 0), 0) };
}

function parse(bytes: Buffer): v.InferOutput<typeof tokenSchema> | undefined {
  try {
    return v.parse(tokenSchema, JSON.parse(bytes.toString('utf8')));
  } catch {
    return undefined;
  }
}
