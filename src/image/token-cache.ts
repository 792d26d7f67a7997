import { createHash } from 'node:crypto';
import type { RegistryAuth } from './auth.ts';

export interface CachedToken {
  /** Of Authorization. */
  header: string;
  /** performance.now() until which it is used. */
  until: number;
}

const MAX_TOKENS = 256;

/** Bearer tokens by host, scope and credentials: nobody gets one that others have paid for. */
export class TokenCache {
  readonly #tokens = new Map<string, CachedToken>();

  /** The credentials themselves are not kept. */
  key(root: string, scope: string, auth: RegistryAuth | undefined): string {
    return createHash('sha256')
      .update(JSON.stringify([root, scope, auth ?? null]))
      .digest('base64');
  }

  get(key: string): CachedToken | undefined {
    const found = this.#tokens.get(key);
    if (found && found.until > performance.now()) return found;
    this.#tokens.delete(key);
    return undefined;
  }

  set(key: string, token: CachedToken): void {
    this.#tokens.delete(key);
    this.#tokens.set(key, token);
    const [oldest] = this.#tokens.keys();
    if (this.#tokens.size > MAX_TOKENS && oldest !== undefined) this.#tokens.delete(oldest);
  }
}
