import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface TestServer extends AsyncDisposable {
  /** "127.0.0.1:port" */
  host: string;
  /** "GET /path Authorization-or-dash", in order. */
  log: string[];
}

export type Handler = (request: IncomingMessage, response: ServerResponse, base: string) => void;

/** An HTTP server on loopback. */
export async function serve(handler: Handler, port = 0): Promise<TestServer> {
  const log: string[] = [];
  const server = createServer((request, response) => {
    log.push(`${request.method} ${request.url} ${request.headers.authorization ?? '-'}`);
    handler(request, response, `http://${host}`);
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    host,
    log,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

export function reply(
  response: ServerResponse,
  status: number,
  body: string | Buffer = '',
  headers = {},
): void {
  response.writeHead(status, headers).end(body);
}

export interface ProxyOptions {
  /** "host:port" of what is behind. */
  to: string;
  /** Takes a request instead of the host behind where it returns true. */
  instead?: (request: IncomingMessage, response: ServerResponse) => boolean;
  /** Told of each piece of a body before it goes on; may destroy the response, or hold it up. */
  onBody?: (
    request: IncomingMessage,
    response: ServerResponse,
    piece: Buffer,
  ) => Promise<void> | undefined;
}

export interface TestProxy extends TestServer {
  /** Bytes of bodies that went through to callers, by path. */
  sent: Map<string, number>;
}

/** An HTTP proxy before one server, that can cut, count and delay. */
export async function proxy(options: ProxyOptions): Promise<TestProxy> {
  const sent = new Map<string, number>();
  const [hostname, port] = options.to.split(':');
  const server = await serve((incoming, response) => {
    if (options.instead?.(incoming, response)) return;
    const onward = request(
      {
        hostname,
        port,
        path: incoming.url,
        method: incoming.method,
        headers: { ...incoming.headers, host: options.to },
        agent: false,
      },
      async (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        try {
          for await (const piece of answer as AsyncIterable<Buffer>) {
            await options.onBody?.(incoming, response, piece);
            if (response.destroyed) return;
            const path = incoming.url ?? '';
            sent.set(path, (sent.get(path) ?? 0) + piece.length);
            if (!response.write(piece)) await once(response, 'drain');
          }
          response.end();
        } catch {
          response.destroy();
        }
      },
    );
    onward.on('error', () => response.destroy());
    incoming.pipe(onward);
  });
  return { ...server, sent };
}
