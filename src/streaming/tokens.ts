import { randomBytes } from 'node:crypto';
import { CoracleError } from '../errors.ts';

/** How long a token may wait for its client, ms (XS-12). */
const LIFETIME_MS = 60_000;
/** Tokens that wait at once (XS-12): a client that asks and never comes costs nobody else. */
const MAX_WAITING = 1000;

/** 128 bits as base64url. */
export const TOKEN_LENGTH = 22;

interface Waiting<Request> {
  readonly request: Request;
  readonly expires: number;
}

/** Requests that were granted and whose clients have not connected yet. */
export class Tokens<Request> {
  readonly #now: () => number;
  /** In the order in which they expire: all live equally long. */
  readonly #waiting = new Map<string, Waiting<Request>>();

  /** `now` is a clock in milliseconds that never goes back. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** A token that stands for the request, once. ResourceExhausted where too many wait. */
  issue(request: Request): string {
    this.#expire();
    if (this.#waiting.size >= MAX_WAITING) {
      throw new CoracleError(
        'ResourceExhausted',
        `${MAX_WAITING} streaming requests wait for their clients; try again later`,
      );
    }
    const token = randomBytes(16).toString('base64url');
    this.#waiting.set(token, { request, expires: this.#now() + LIFETIME_MS });
    return token;
  }

  /** What the token stands for, without using it up; undefined if it is unknown, used or late. */
  peek(token: string): Request | undefined {
    this.#expire();
    return this.#waiting.get(token)?.request;
  }

  /** Uses the token up. */
  consume(token: string): void {
    this.#waiting.delete(token);
  }

  #expire(): void {
    const now = this.#now();
    for (const [token, { expires }] of this.#waiting) {
      if (expires > now) return;
      this.#waiting.delete(token);
    }
  }
}
