/** Status codes of RST_STREAM (SPDY draft 3.1, section 2.6.3). */
export const ResetStatus = {
  protocolError: 1,
  invalidStream: 2,
  refusedStream: 3,
  cancel: 5,
  streamAlreadyClosed: 9,
} as const;

/** Status codes of GOAWAY (section 2.6.6). */
export const GoAwayStatus = { ok: 0, protocolError: 1, internalError: 2 } as const;

/** What a peer sent breaks the protocol in a way that ends the connection. */
export class SpdyError extends Error {
  override readonly name = 'SpdyError';
}
