/** HTTP/1.1 answers on the bare connection of an upgrade request. */
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';

/** Says no, and closes. */
export function refuse(
  transport: Duplex,
  status: number,
  message: string,
  headers: Record<string, string> = {},
): void {
  const body = `${message}\n`;
  transport.end(
    head(status, {
      Connection: 'close',
      'Content-Type': 'text/plain; charset=utf-8',
      'Content-Length': String(Buffer.byteLength(body)),
      ...headers,
    }) + body,
  );
  // A client that does not close would keep the connection for ever.
  transport.once('finish', () => transport.destroy());
}

export function switchProtocols(transport: Duplex, headers: Record<string, string>): void {
  transport.write(head(101, { Connection: 'Upgrade', ...headers }));
}

function head(status: number, headers: Record<string, string>): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  return [`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, ...lines, '', ''].join('\r\n');
}
