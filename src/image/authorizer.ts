import { credentials, type RegistryAuth } from './auth.ts';
import { type Challenge, parseChallenges } from './challenge.ts';
import { basic, fetchToken } from './token.ts';
import type { TokenCache } from './token-cache.ts';
import type { Transport } from './transport.ts';

/** A token is renewed this long before it ends, ms, or in the last quarter of a short life. */
const RENEWAL_MARGIN_MS = 10_000;

export interface AuthorizerOptions {
  transport: Transport;
  /** The API of the host. */
  root: URL;
  /** Only what this host may be shown. */
  auth: RegistryAuth | undefined;
  /** "repository:library/busybox:pull" */
  scope: string;
  /** Bearer tokens of earlier pulls. */
  tokens: TokenCache;
}

/** The Authorization header of one caller for one repository at one host. */
export class Authorizer {
  readonly #options: AuthorizerOptions;
  readonly #key: string;
  #header: string | undefined;
  /** performance.now() at which the header is to be renewed. */
  #renewAt = Number.POSITIVE_INFINITY;
  #challenge: Challenge | undefined;
  #renewal: Promise<void> | undefined;

  constructor(options: AuthorizerOptions) {
    this.#options = options;
    const { auth, root, scope, tokens } = options;
    this.#key = tokens.key(root.href, scope, auth);
    if (auth?.registryToken) {
      this.#header = `Bearer ${auth.registryToken}`;
      return;
    }
    const cached = tokens.get(this.#key);
    this.#header = cached?.header;
    this.#renewAt = cached?.until ?? this.#renewAt;
  }

  /** What to send, if anything is known; renewed where it is about to end. */
  async header(signal: AbortSignal): Promise<string | undefined> {
    if (performance.now() >= this.#renewAt) {
      if (this.#challenge) await this.#renew(this.#challenge, signal);
      else this.#header = undefined;
    }
    return this.#header;
  }

  /**
   * Takes the 401 that `used` was answered with. Returns false where there is nothing (more) to try
   * with these credentials.
   */
  async answer(used: string | undefined, text: string, signal: AbortSignal): Promise<boolean> {
    // Another request of this pull has renewed it meanwhile.
    if (this.#header !== used) return true;
    const { auth } = this.#options;
    const challenges = parseChallenges(text);
    const bearer = challenges.find((challenge) => challenge.scheme === 'bearer');
    if (bearer && !auth?.registryToken) {
      this.#challenge = bearer;
      await this.#renew(bearer, signal);
      return this.#header !== used;
    }
    const user = credentials(auth);
    if (user && challenges.some((challenge) => challenge.scheme === 'basic')) {
      this.#header = basic(user);
      this.#renewAt = Number.POSITIVE_INFINITY;
      return this.#header !== used;
    }
    return false;
  }

  /** One request at a time, whose outcome everybody takes who wants one meanwhile. */
  async #renew(challenge: Challenge, signal: AbortSignal): Promise<void> {
    const running = this.#renewal;
    if (running) {
      const failed = await running.then(
        () => false,
        () => true,
      );
      // It may have failed for reasons of its own caller, who gave up.
      if (!failed) return;
    }
    const mine = this.#fetch(challenge, signal).finally(() => {
      if (this.#renewal === mine) this.#renewal = undefined;
    });
    this.#renewal = mine;
    await mine;
  }

  async #fetch(challenge: Challenge, signal: AbortSignal): Promise<void> {
    const { transport, root, auth, scope, tokens } = this.#options;
    const asked = performance.now();
    const token = await fetchToken(transport, root, challenge, auth, scope, signal);
    const margin = Math.min(RENEWAL_MARGIN_MS, token.lifetimeMs / 4);
    this.#header = `Bearer ${token.value}`;
    this.#renewAt = asked + token.lifetimeMs - margin;
    tokens.set(this.#key, { header: this.#header, until: this.#renewAt });
  }
}
