import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { choose, WEBSOCKET_COMMAND, WEBSOCKET_FORWARD } from '../protocols.ts';

/** The longest message, bytes; the clients of the field send up to 32 KiB at once. */
const MAX_MESSAGE = 1024 * 1024;

function acceptor(known: ReadonlyMap<string, unknown>): WebSocketServer {
  return new WebSocketServer({
    noServer: true,
    clientTracking: false,
    // Compressing what mostly stays on the host would cost 300 KiB of memory a connection.
    perMessageDeflate: false,
    maxPayload: MAX_MESSAGE,
    autoPong: false,
    handleProtocols: (offered) => choose(offered, known) ?? false,
  });
}

const acceptors = {
  command: acceptor(WEBSOCKET_COMMAND),
  forward: acceptor(WEBSOCKET_FORWARD),
} as const;

/** Completes the handshake. A request that is no sound one is answered, and `onSocket` not called. */
export function acceptWebSocket(
  kind: keyof typeof acceptors,
  request: IncomingMessage,
  transport: Duplex,
  head: Buffer,
  onSocket: (socket: WebSocket) => void,
): void {
  acceptors[kind].handleUpgrade(request, transport, head, onSocket);
}
