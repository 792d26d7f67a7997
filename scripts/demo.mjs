/**
 * `npm run demo`: an image made offline, `coracle serve` with its defaults, and a pod's whole life
 * through the gRPC API, with how long each call took. Everything is made in a temporary directory
 * and in a network namespace of the demo's own; nothing is left behind.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeBusyboxLayout } from './busybox-image.mjs';

const PACKAGE = fileURLToPath(new URL('..', import.meta.url));
const MAIN = join(PACKAGE, 'dist/cli/main.js');

if (process.env.CORACLE_DEMO_NETNS !== '1') {
  const inside = ['--net', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh', ...process.argv];
  const env = { ...process.env, CORACLE_DEMO_NETNS: '1' };
  const { status } = spawnSync('unshare', inside, { stdio: 'inherit', env });
  process.exit(status ?? 1);
}

const { criClient } = await import(join(PACKAGE, 'dist/cri/client.js'));
const dir = mkdtempSync(join(tmpdir(), 'coracle-demo-'));
const socket = join(dir, 'coracle.sock');
const times = [];

/** Calls one RPC and notes its time. */
async function call(client, method, request, note = '') {
  const before = process.hrtime.bigint();
  const response = await client[method](request);
  const ms = Number(process.hrtime.bigint() - before) / 1e6;
  times.push([`${method[0].toUpperCase()}${method.slice(1)}`, ms, note]);
  return response;
}

async function answering(client, server) {
  for (;;) {
    if (server.exitCode !== null) throw new Error('coracle serve ended early');
    try {
      return await client.version({});
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

async function podLife(client) {
  const { names } = await call(
    client,
    'importImage',
    { path: join(dir, 'layout') },
    'busybox, OCI layout',
  );
  const logDirectory = join(dir, 'logs');
  mkdirSync(logDirectory);
  const config = {
    metadata: { name: 'demo', namespace: 'default', uid: 'demo', attempt: 0 },
    hostname: 'demo',
    logDirectory,
    linux: {},
  };
  const { podSandboxId } = await call(
    client,
    'runPodSandbox',
    { config },
    'with a network of its own',
  );
  const { status } = await call(client, 'podSandboxStatus', { podSandboxId });
  const script =
    'echo "hello from $(hostname), kernel $(uname -r)"; ip -4 addr show eth0 | grep inet; sleep 1000';
  const { containerId } = await call(client, 'createContainer', {
    podSandboxId,
    sandboxConfig: config,
    config: {
      metadata: { name: 'hello', attempt: 0 },
      image: { image: names[0] },
      command: ['sh', '-c', script],
      logPath: 'hello.log',
    },
  });
  await call(client, 'startContainer', { containerId });
  const ping = ['ping', '-c', '1', '-w', '5', (status?.network?.ip ?? '').replace(/\d+$/, '1')];
  const exec = await call(client, 'execSync', { containerId, cmd: ping }, 'ping the bridge');
  await call(client, 'listContainers', {});
  const log = readFileSync(join(logDirectory, 'hello.log'), 'utf8');
  await call(client, 'stopContainer', { containerId, timeout: 0n }, 'SIGKILL at once');
  await call(client, 'removeContainer', { containerId });
  await call(client, 'stopPodSandbox', { podSandboxId });
  await call(client, 'removePodSandbox', { podSandboxId });
  await call(client, 'removeImage', { image: { image: names[0] } });
  return { log, exec: Buffer.from(exec.stdout).toString(), exitCode: exec.exitCode };
}

function report({ log, exec, exitCode }) {
  const indent = (text) => text.trimEnd().replace(/^/gm, '    ');
  console.log(`\nThe container's log, as kubelet would read it:\n\n${indent(log)}`);
  console.log(`\nExecSync, exit code ${exitCode}:\n\n${indent(exec)}`);
  console.log('\nRPC                   time');
  for (const [name, ms, note] of times) {
    console.log(`${name.padEnd(18)}${ms.toFixed(2).padStart(8)} ms  ${note}`);
  }
}

await makeBusyboxLayout(join(dir, 'layout'), { name: 'demo.local/busybox:latest' });
const server = spawn(
  process.execPath,
  [
    MAIN,
    'serve',
    '--listen',
    `unix://${socket}`,
    '--root',
    join(dir, 'root'),
    '--state',
    join(dir, 'state'),
    '--log-level',
    'warn',
  ],
  { stdio: ['ignore', 'inherit', 'inherit'] },
);
const client = criClient(socket);
try {
  const version = await answering(client, server);
  console.log(
    `${version.runtimeName} ${version.runtimeVersion} serves CRI ${version.runtimeApiVersion} on ${socket}`,
  );
  report(await podLife(client));
} finally {
  client.close();
  const ended = once(server, 'exit');
  server.kill('SIGTERM');
  await ended;
  rmSync(dir, { recursive: true, force: true });
}
