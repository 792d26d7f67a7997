import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { addon, monitorExecutable } from '../../src/native/addon.ts';
import type { MonitorConnection } from '../../src/native/types.ts';
import type { AttachRequest } from '../../src/network/index.ts';

const run = promisify(execFile);

/** A pod without containers and records: a monitor that has made the namespaces. */
export async function barePod(dir: string, id: string): Promise<MonitorConnection> {
  const connection = addon.startMonitor({
    executable: monitorExecutable(),
    podId: id,
    socket: join(dir, `${id}.sock`),
  });
  await connection.sandbox({
    net: true,
    ipc: true,
    uts: true,
    sharedPid: false,
    attached: true,
    hostname: id,
    shmSize: 0,
    sysctls: [],
    rootDir: dir,
    exitDir: dir,
  });
  return connection;
}

export function attachRequest(
  sandboxId: string,
  connection: MonitorConnection,
  more: Partial<AttachRequest> = {},
): AttachRequest {
  const pod = { name: sandboxId, namespace: 'test', uid: sandboxId };
  return {
    sandboxId,
    pod,
    hostPorts: [],
    bandwidth: {},
    monitor: connection,
    ...more,
  };
}

/** Runs a program in a pod's network; resolves with its output. */
export async function inPod(pod: MonitorConnection, ...argv: string[]): Promise<string> {
  return (await run('nsenter', ['-t', String(pod.pid), '-n', ...argv], { timeout: 10_000 })).stdout;
}

const SERVER = `
const [name, port] = process.argv.slice(1);
const reply = (address) => name + ' ' + address.replace('::ffff:', '');
require('net').createServer((s) => { s.on('error', () => {}); s.end(reply(s.remoteAddress)); })
  .listen(+port, '::', () => {
    const udp = require('dgram').createSocket('udp6');
    udp.on('message', (_, from) => udp.send(reply(from.address), from.port, from.address));
    udp.bind(+port, '::', () => console.log('ready'));
  });
`;

/** Answers TCP and UDP on a port of the pod with its name and the client's address. */
export async function answering(
  pod: MonitorConnection,
  name: string,
  port: number,
): Promise<{ stop(): Promise<void> }> {
  const argv = ['-t', String(pod.pid), '-n', process.execPath, '-e', SERVER, name, String(port)];
  const server = spawn('nsenter', argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  await Promise.race([
    once(server.stdout, 'data'),
    once(server, 'exit').then(() => Promise.reject(new Error('the server in the pod has ended'))),
  ]);
  return {
    stop: async () => {
      if (server.exitCode !== null || server.signalCode !== null) return;
      const exited = once(server, 'exit');
      server.kill('SIGKILL');
      await exited;
    },
  };
}

const CLIENT = `
const [protocol, address, port] = process.argv.slice(1);
const end = (text) => { console.log(text); process.exit(0); };
setTimeout(() => end('timeout'), 1500);
if (protocol === 'tcp') {
  const socket = require('net').connect(+port, address);
  let text = '';
  socket.on('data', (data) => { text += data; });
  socket.on('end', () => end(text));
  socket.on('error', (error) => end(error.code));
} else {
  const socket = require('dgram').createSocket(address.includes(':') ? 'udp6' : 'udp4');
  socket.on('message', (data) => end(String(data)));
  socket.on('error', (error) => end(error.code));
  socket.connect(+port, address, () => socket.send('?'));
}
`;

/** What a client is told; "timeout" or an error's code where it gets no answer. */
export async function ask(
  pod: MonitorConnection | undefined,
  protocol: 'tcp' | 'udp',
  address: string,
  port: number,
): Promise<string> {
  const argv = ['-e', CLIENT, protocol, address, String(port)];
  const text = pod
    ? await inPod(pod, process.execPath, ...argv)
    : (await run(process.execPath, argv)).stdout;
  return text.trim();
}
