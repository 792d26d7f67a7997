/**
 * How often a connection is written to that may be quiet otherwise, ms: load balancers keep it open,
 * and the write fails where the client is gone while nothing is read because a process takes no
 * input. Answers are not waited for: a client whose terminal is stopped gives none.
 */
const PING_MS = 30_000;

/** Pings a connection, and gives it up when nothing has happened on it for too long. */
export class Keepalive {
  readonly #idle: NodeJS.Timeout | undefined;
  readonly #pings: NodeJS.Timeout;

  /** `idleMs` 0: for ever. */
  constructor(options: { idleMs: number; ping(): void; onIdle(): void; pingMs?: number }) {
    this.#pings = setInterval(options.ping, options.pingMs ?? PING_MS);
    if (options.idleMs > 0) this.#idle = setTimeout(options.onIdle, options.idleMs);
  }

  /** Something has happened that was not a ping of ours or its answer. */
  touch(): void {
    this.#idle?.refresh();
  }

  stop(): void {
    clearTimeout(this.#idle);
    clearInterval(this.#pings);
  }
}
