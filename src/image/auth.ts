import * as v from 'valibot';
import { CoracleError, invalid } from '../errors.ts';
import type { Transport } from './transport.ts';

/** Credentials for one registry, as CRI's AuthConfig gives them. */
export interface RegistryAuth {
  username?: string;
  password?: string;
  /** Base64 of "username:password"; used where no username is given. */
  auth?: string;
  /** An OAuth2 refresh token. */
  identityToken?: string;
  /** A bearer token that is sent as it is. */
  registryToken?: string;
}

export interface Challenge {
  /** Lower case. */
  scheme: string;
  parameters: Record<string, string>;
}

/** Parses the value of WWW-Authenticate (RFC 9110, section 11.6.1). */
export function parseChallenges(header: string): Challenge[] {
  const challenges: Challenge[] = [];
  // A scheme is a token that is followed by a space and no "=".
  const pattern = /([!#$%&'*+.^_`|~\w-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+)))?[\s,]*/gy;
  for (const [, name = '', quoted, bare] of header.trim().matchAll(pattern)) {
    const value = quoted?.replace(/\\(.)/g, '$1') ?? bare;
    if (value === undefined) challenges.push({ scheme: name.toLowerCase(), parameters: {} });
    else {
      const current = challenges.at(-1);
      if (current) current.parameters[name.toLowerCase()] = value;
    }
  }
  return challenges;
}

/** User name and password, or undefined for an anonymous caller. Throws InvalidArgument. */
export function credentials(auth: RegistryAuth | undefined): [string, string] | undefined {
  if (auth?.username) return [auth.username, auth.password ?? ''];
  if (!auth?.auth) return undefined;
  const text = Buffer.from(auth.auth, 'base64').toString('utf8').replace(/\0+$/, '');
  const colon = text.indexOf(':');
  if (colon < 0) throw invalid('auth.auth', '…', 'is not base64 of "username:password"');
  return [text.slice(0, colon), text.slice(colon + 1)];
}

const tokenSchema = v.object({
  token: v.optional(v.string()),
  access_token: v.optional(v.string()),
});

/** The Authorization header of one caller at one registry, renewed as the registry asks. */
export class Authorizer {
  readonly #transport: Transport;
  readonly #auth: RegistryAuth | undefined;
  readonly #scope: string;
  #header: string | undefined;

  /** `scope` is "repository:library/busybox:pull". */
  constructor(transport: Transport, auth: RegistryAuth | undefined, scope: string) {
    this.#transport = transport;
    this.#auth = auth;
    this.#scope = scope;
    if (auth?.registryToken) this.#header = `Bearer ${auth.registryToken}`;
  }

  get header(): string | undefined {
    return this.#header;
  }

  /**
   * Answers a 401 of `url`. Returns false where there is nothing (more) to try with these
   * credentials.
   */
  async answer(url: URL, header: string, signal: AbortSignal): Promise<boolean> {
    const challenges = parseChallenges(header);
    const bearer = challenges.find((challenge) => challenge.scheme === 'bearer');
    if (bearer && !this.#auth?.registryToken) {
      const before = this.#header;
      this.#header = `Bearer ${await this.#token(url, bearer, signal)}`;
      return this.#header !== before;
    }
    const user = credentials(this.#auth);
    if (user && challenges.some((challenge) => challenge.scheme === 'basic')) {
      const before = this.#header;
      this.#header = basic(user);
      return this.#header !== before;
    }
    return false;
  }

  /** The token protocol of the distribution project (spec/auth/token.md, oauth.md). */
  async #token(url: URL, challenge: Challenge, signal: AbortSignal): Promise<string> {
    const { realm, service, scope } = challenge.parameters;
    let endpoint: URL;
    try {
      endpoint = new URL(realm ?? '');
    } catch {
      throw new CoracleError('Unavailable', `${url.host}: its token realm is no URL: ${realm}`);
    }
    const user = credentials(this.#auth);
    const secret = user !== undefined || Boolean(this.#auth?.identityToken);
    if (secret && endpoint.protocol !== 'https:' && url.protocol === 'https:') {
      throw new CoracleError(
        'FailedPrecondition',
        `${url.host} wants credentials sent to ${endpoint.origin} in the clear`,
      );
    }
    const query = new URLSearchParams();
    if (service) query.set('service', service);
    query.set('scope', scope ?? this.#scope);
    let reply: Buffer;
    if (this.#auth?.identityToken) {
      query.set('grant_type', 'refresh_token');
      query.set('client_id', 'coracle');
      query.set('refresh_token', this.#auth.identityToken);
      reply = await this.#transport.small(endpoint, { form: query, signal });
    } else {
      for (const [key, value] of query) endpoint.searchParams.set(key, value);
      reply = await this.#transport.small(endpoint, {
        headers: user ? { authorization: basic(user) } : {},
        signal,
      });
    }
    let token: v.InferOutput<typeof tokenSchema> | undefined;
    try {
      token = v.parse(tokenSchema, JSON.parse(reply.toString('utf8')));
    } catch (cause) {
      throw new CoracleError('Unavailable', `${endpoint.host} sent no token`, { cause });
    }
    const value = token.token || token.access_token;
    if (!value) throw new CoracleError('Unavailable', `${endpoint.host} sent no token`);
    return value;
  }
}

function basic([user, password]: [string, string]): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}
