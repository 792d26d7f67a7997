import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CoracleError, messageOf } from '../errors.ts';
import type { Metrics } from './metrics.ts';

export interface MetricsServer {
  /** Where it listens: "127.0.0.1:9091". */
  readonly address: string;
  close(): Promise<void>;
}

/** Scrapers are few: connections beyond these are closed, so that they cost no descriptors. */
const MAX_CONNECTIONS = 64;
/** How long a client may take to send its request, ms. */
const REQUEST_MS = 10_000;

/**
 * Serves `GET /metrics` over HTTP; port 0 takes any that is free. There is no authentication: who
 * reaches the address learns what runs here, so it is best on the loopback. Throws Unavailable for
 * an address that can't be had.
 */
export async function serveMetrics(
  { host, port }: { host: string; port: number },
  metrics: Metrics,
): Promise<MetricsServer> {
  const limits = { requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS };
  const server = createServer(limits, (request, response) => {
    if (request.url?.split('?', 1)[0] !== '/metrics') {
      response.writeHead(404).end();
    } else if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { allow: 'GET, HEAD' }).end();
    } else {
      const type = 'text/plain; version=0.0.4; charset=utf-8';
      response.writeHead(200, { 'content-type': type }).end(metrics.text());
    }
  });
  server.maxConnections = MAX_CONNECTIONS;
  await listen(server, host, port);
  const bound = server.address() as AddressInfo;
  return {
    address: `${bound.family === 'IPv6' ? `[${bound.address}]` : bound.address}:${bound.port}`,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, resolve);
    });
  } catch (error) {
    const what = `metrics-address: ${messageOf(error)}`;
    throw new CoracleError('Unavailable', what, { cause: error });
  }
}
