import { once } from 'node:events';
import { createReadStream, readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { manifestOf } from './image-fixture.ts';

/** A registry of one image, in this process, so that a test can hold its answers back. */
export interface LayoutRegistry extends AsyncDisposable {
  /** "127.0.0.1:port", as references write it; any repository and any tag is the image. */
  readonly host: string;
  /** Blobs send their first bytes, then nothing until it is false again. */
  stalled: boolean;
  /** Resolves when a blob begins to stall. */
  stall(): Promise<void>;
  /** Resolves when a client has hung up on a stalled blob. */
  hangUp(): Promise<void>;
}

/** Serves a layout over http; with `credentials`, "user:password", to that user alone. */
export async function serveLayout(layout: string, credentials?: string): Promise<LayoutRegistry> {
  const manifest = manifestOf(layout);
  const blobPath = (digest: string) =>
    join(layout, 'blobs', 'sha256', digest.slice('sha256:'.length));
  const stalls = waiters();
  const hangUps = waiters();

  const server = createServer((request, response) => {
    void answer(request, response).catch(() => response.destroy());
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const wanted = credentials && `Basic ${Buffer.from(credentials).toString('base64')}`;
    if (wanted && request.headers.authorization !== wanted) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="test"' }).end();
      return;
    }
    const [, kind, name = ''] = /\/(manifests|blobs)\/([^/?]+)/.exec(request.url ?? '') ?? [];
    if (kind === 'manifests') {
      const bytes = readFileSync(blobPath(manifest.digest));
      response.setHeader('content-type', manifest.mediaType);
      response.setHeader('docker-content-digest', manifest.digest);
      response.end(request.method === 'HEAD' ? undefined : bytes);
      return;
    }
    if (kind !== 'blobs') {
      response.writeHead(request.url === '/v2/' ? 200 : 404).end();
      return;
    }
    const { size } = await stat(blobPath(name));
    response.setHeader('content-length', size);
    if (registry.stalled && size > 4096) {
      response.write(readFileSync(blobPath(name)).subarray(0, 1024));
      response.once('close', hangUps.wake);
      stalls.wake();
      return;
    }
    createReadStream(blobPath(name)).pipe(response);
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const registry: LayoutRegistry = {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    stalled: false,
    stall: () => stalls.wait(),
    hangUp: () => hangUps.wait(),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return registry;
}

/** Something that happens again and again, and those who wait for the next time. */
function waiters() {
  let waiting: (() => void)[] = [];
  return {
    wait: () => new Promise<void>((resolve) => waiting.push(resolve)),
    wake: () => {
      for (const resolve of waiting) resolve();
      waiting = [];
    },
  };
}
