import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type CriClient, criClient } from '../../src/cri/client.ts';
import { OURS } from '../outcome.ts';
import { answering } from './answering.ts';
import { writeCniConfig } from './cni-config.ts';
import type { CriNetwork, CriServer } from './cri.ts';
import type { Host } from './host.ts';
import { pidsOf } from './proc.ts';

const PACKAGE = fileURLToPath(new URL('../..', import.meta.url));

export interface CoracleServer extends CriServer {
  /** Where `/metrics` is. */
  metrics: string;
}

/** `coracle serve` as in production: a process of its own, from dist/ where that is built. */
export async function coracleServer(host: Host, network: CriNetwork): Promise<CoracleServer> {
  const dir = host.scratch('coracle');
  const socket = join(dir, 'c.sock');
  const built = join(PACKAGE, 'dist/cli/main.js');
  // By its first line, which has flags for Node.js.
  const [program, ...main] = existsSync(built)
    ? [built]
    : [process.execPath, '--import', 'tsx', 'src/cli/main.ts'];
  const port = await freePort();
  const args = [...main, 'serve', '--listen', `unix://${socket}`, '--log-level', 'warn'];
  args.push('--root', join(dir, 'root'), '--state', join(dir, 'state'));
  args.push('--metrics-address', `127.0.0.1:${port}`);
  if (network === 'cni') {
    if (!host.cniBin) throw new Error('no CNI plugins here');
    args.push('--cni-conf-dir', writeCniConfig(dir, 'coracle'), '--cni-bin-dir', host.cniBin);
  }
  let child = launch(program, args);
  const client = criClient(socket);
  try {
    await answering(client, socket, child);
    await client.importImage({ path: host.layout });
  } catch (error) {
    client.close();
    await end(child);
    throw error;
  }
  return {
    name: OURS,
    client,
    socket,
    metrics: `http://127.0.0.1:${port}/metrics`,
    get pid() {
      return child.pid ?? 0;
    },
    helpers: () => monitors(client),
    end: () => end(child),
    begin: async () => {
      child = launch(program, args);
      await answering(client, socket, child);
    },
    [Symbol.asyncDispose]: async () => {
      try {
        const { items } = await client.listPodSandbox();
        for (const { id } of items) await client.removePodSandbox({ podSandboxId: id });
      } finally {
        client.close();
        await end(child);
      }
    },
  };
}

function launch(program: string, args: string[]): ChildProcess {
  return spawn(program, args, { cwd: PACKAGE, stdio: ['ignore', 'inherit', 'inherit'] });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
}

/** By their command lines: "coracle-monitor", the pod's id. */
async function monitors(client: CriClient): Promise<number[]> {
  const { items } = await client.listPodSandbox();
  const pods = new Set(items.map(({ id }) => id));
  return pidsOf((args) => args[0] === 'coracle-monitor' && pods.has(args[1] ?? ''));
}

async function freePort(): Promise<number> {
  const { createServer } = await import('node:net');
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  return port;
}
