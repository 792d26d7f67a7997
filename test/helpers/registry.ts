import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { request } from 'undici';

export interface TestRegistry extends AsyncDisposable {
  /** "http://127.0.0.1:port" */
  url: string;
  /** "127.0.0.1:port", as references write it. */
  host: string;
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** Debian's docker-registry over a directory, on a port of its own. */
export async function startRegistry(directory: string): Promise<TestRegistry> {
  const host = `127.0.0.1:${await freePort()}`;
  const storage = join(directory, 'storage');
  await mkdir(storage, { recursive: true });
  const config = join(directory, 'config.yml');
  await writeFile(
    config,
    `version: 0.1
log: { level: error, accesslog: { disabled: true } }
storage: { filesystem: { rootdirectory: ${storage} }, delete: { enabled: true } }
http: { addr: "${host}" }
`,
  );
  const child: ChildProcess = spawn('docker-registry', ['serve', config], { stdio: 'ignore' });
  const url = `http://${host}`;
  for (let attempt = 0; ; attempt += 1) {
    try {
      const response = await request(`${url}/v2/`);
      await response.body.dump();
      break;
    } catch (error) {
      if (child.exitCode !== null || attempt === 100) {
        child.kill('SIGKILL');
        throw error;
      }
      await sleep(50);
    }
  }
  return {
    url,
    host,
    [Symbol.asyncDispose]: async () => {
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      await gone;
    },
  };
}
