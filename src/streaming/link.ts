/** A client's connection, whatever is spoken on it. */
export interface Link {
  /** Resolves when it is gone. */
  readonly closed: Promise<void>;
  /** Says good-bye once everything that was written is on its way, and waits for the client's. */
  close(): void;
  destroy(): void;
}

/**
 * How long a client may take to close a connection that we have closed, ms. What it still sends is
 * read and dropped meanwhile: closing with bytes unread resets the connection, and takes away what
 * the client has not read (RFC 1122, section 4.2.2.13).
 */
export const LINGER_MS = 5_000;
