import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { listens } from './knock.ts';

export interface TestRegistry extends AsyncDisposable {
  /** "http://127.0.0.1:port" */
  url: string;
  /** "127.0.0.1:port", as references write it. */
  host: string;
  /** Ends it as a crash does, whatever is under way. */
  kill(): Promise<void>;
}

export interface TestRegistryOptions {
  /** Default: a free one. Given, so that a registry can be started again where it was. */
  port?: number;
  /** Files. With `clientCa`, only callers with a certificate of that CA are served. */
  tls?: { cert: string; key: string; clientCa?: string };
  /** A line of htpasswd with a bcrypt hash. */
  htpasswd?: string;
  /** Of the server that gives tokens, and the file with the certificate that it signs with. */
  token?: { realm: string; service: string; issuer: string; cert: string };
}

export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** Debian's docker-registry over a directory, which may be an earlier one's. */
export async function startRegistry(
  directory: string,
  options: TestRegistryOptions = {},
): Promise<TestRegistry> {
  const port = options.port ?? (await freePort());
  const host = `127.0.0.1:${port}`;
  const storage = join(directory, 'storage');
  await mkdir(storage, { recursive: true });
  const { tls, htpasswd, token } = options;
  let auth = '';
  if (htpasswd !== undefined) {
    const file = join(directory, 'htpasswd');
    await writeFile(file, `${htpasswd}\n`);
    auth = `auth: { htpasswd: { realm: test, path: "${file}" } }`;
  }
  if (token !== undefined) {
    const { realm, service, issuer, cert } = token;
    auth = `auth: { token: { realm: "${realm}", service: "${service}", issuer: "${issuer}", rootcertbundle: "${cert}" } }`;
  }
  const clients = tls?.clientCa ? `, clientcas: ["${tls.clientCa}"]` : '';
  const secure = tls ? `, tls: { certificate: "${tls.cert}", key: "${tls.key}"${clients} }` : '';
  const config = join(directory, 'config.yml');
  await writeFile(
    config,
    `version: 0.1
log: { level: error, accesslog: { disabled: true } }
storage: { filesystem: { rootdirectory: ${storage} }, delete: { enabled: true } }
${auth}
http: { addr: "${host}"${secure} }
`,
  );
  const child: ChildProcess = spawn('docker-registry', ['serve', config], { stdio: 'ignore' });
  const stop = async (signal: 'SIGTERM' | 'SIGKILL') => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
  };
  for (let attempt = 0; !(await listens({ port, host: '127.0.0.1' })); attempt += 1) {
    if (child.exitCode !== null || attempt === 100) {
      await stop('SIGKILL');
      throw new Error(`docker-registry does not listen at ${host}`);
    }
    await sleep(50);
  }
  return {
    url: `${tls ? 'https' : 'http'}://${host}`,
    host,
    kill: () => stop('SIGKILL'),
    [Symbol.asyncDispose]: () => stop('SIGTERM'),
  };
}
