import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { WebSocket, WebSocketServer } from 'ws';
import { webSockets } from './load.ts';

/** The longest message, bytes; the clients of the field send up to 32 KiB at once. */
const MAX_MESSAGE = 1024 * 1024;

let acceptor: WebSocketServer | undefined;

function makeAcceptor(): WebSocketServer {
  return new (webSockets().WebSocketServer)({
    noServer: true,
    clientTracking: false,
    // Compressing what mostly stays on the host would cost 300 KiB of memory a connection.
    perMessageDeflate: false,
    maxPayload: MAX_MESSAGE,
    autoPong: false,
  });
}

/**
 * Completes the handshake; '' is a client that named no subprotocol. A request that is no sound one
 * is answered, and `onSocket` not called.
 *
 * The subprotocol is answered here and not by ws, which takes names by RFC 6455 alone: the name of
 * Kubernetes' tunnel has a slash, which that does not allow.
 */
export function acceptWebSocket(
  request: IncomingMessage,
  transport: Duplex,
  head: Buffer,
  subprotocol: string,
  onSocket: (socket: WebSocket) => void,
): void {
  const answer = (headers: string[]) => {
    if (subprotocol !== '') headers.push(`Sec-WebSocket-Protocol: ${subprotocol}`);
  };
  delete request.headers['sec-websocket-protocol'];
  acceptor ??= makeAcceptor();
  acceptor.once('headers', answer);
  try {
    acceptor.handleUpgrade(request, transport, head, onSocket);
  } finally {
    // Nothing of the handshake is asynchronous; one that failed has not asked for headers.
    acceptor.off('headers', answer);
  }
}
