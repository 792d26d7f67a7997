import type { WebSocket } from 'ws';

/** Bytes that may wait for a client which asks for pongs and reads none. */
const MAX_UNREAD = 1024 * 1024;

/** Answers pings, but not without end where a client reads no answers. */
export function answerPings(socket: WebSocket, onPing?: () => void): void {
  socket.on('ping', (data) => {
    onPing?.();
    if (socket.readyState !== socket.OPEN) return;
    if (socket.bufferedAmount > MAX_UNREAD) socket.terminate();
    else socket.pong(data);
  });
}
