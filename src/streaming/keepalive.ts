/**
 * How often a connection is written to that may be quiet otherwise, ms: load balancers keep it open.
 * Answers are not waited for: a client whose terminal is stopped gives none.
 */
const PING_MS = 30_000;

/**
 * The same while nothing is read because a process takes no input, ms: that a client is gone is
 * seen by nothing else then, since a write fails where it is (the second one after it closed).
 */
const HELD_PING_MS = 5_000;

export interface KeepaliveOptions {
  /** A connection on which nothing happens for so long is given up, ms; 0: never. */
  idleMs: number;
  /** Default 30 s. */
  pingMs?: number | undefined;
  ping(): void;
  onIdle(): void;
}

/** Pings a connection, and gives it up when nothing has happened on it for too long. */
export class Keepalive {
  readonly #options: KeepaliveOptions;
  readonly #pingMs: number;
  readonly #idle: NodeJS.Timeout | undefined;
  #pings: NodeJS.Timeout;
  #stopped = false;

  constructor(options: KeepaliveOptions) {
    this.#options = options;
    this.#pingMs = options.pingMs ?? PING_MS;
    this.#pings = setInterval(options.ping, this.#pingMs);
    if (options.idleMs > 0) this.#idle = setTimeout(options.onIdle, options.idleMs);
  }

  /** Something has happened that was not a ping of ours or its answer. */
  touch(): void {
    this.#idle?.refresh();
  }

  /** Whether the connection is not read for now. */
  held(isHeld: boolean): void {
    clearInterval(this.#pings);
    if (this.#stopped) return;
    const ms = isHeld ? Math.min(HELD_PING_MS, this.#pingMs) : this.#pingMs;
    this.#pings = setInterval(this.#options.ping, ms);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#idle);
    clearInterval(this.#pings);
  }
}
