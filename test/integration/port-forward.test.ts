/** Ports of pods, reached from outside their network namespaces. */
import assert from 'node:assert/strict';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { openPortForward } from '../../src/runtime/port-forward.ts';
import { DirectRuntime } from '../helpers/direct-runtime.ts';
import { fdCount } from '../helpers/leaks.ts';

let runtime: DirectRuntime;
let pod: string;
const servers: Server[] = [];

before(async () => {
  runtime = await DirectRuntime.open();
  // Without it a server on "::" would take IPv4 as well.
  pod = await runtime.pod({ sysctls: { 'net.ipv6.bindv6only': '1' } });
});

after(async () => {
  for (const server of servers) server.close();
  await runtime.close();
});

const AF_INET = 2;
const AF_INET6 = 10;

/** A server of this program that listens inside the pod, at a port that the kernel chose. */
async function listen(domain: number, serve: (socket: Socket) => void): Promise<number> {
  const fd = await runtime.ctx.monitors.get(pod).connection.socket(domain, 1, 0);
  const server = createServer({ allowHalfOpen: true }, serve);
  await new Promise<void>((resolve) => server.listen({ fd }, resolve));
  servers.push(server);
  return (server.address() as AddressInfo).port;
}

/** All that comes, to the end; unlike those of stream/consumers it leaves the other direction. */
function received(stream: Duplex): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => resolve(Buffer.concat(chunks)));
    stream.on('error', reject);
  });
}

/** Answers once the other direction has ended: how much came, and from where. */
async function count(socket: Socket): Promise<void> {
  const question = await received(socket);
  socket.end(`${question.length} from ${socket.remoteAddress}`);
}

async function ask(port: number, question: string): Promise<string> {
  const stream = await openPortForward(runtime.ctx, pod, port);
  stream.end(question);
  return text(stream);
}

test('XS-11: IPv4 first, then IPv6, and either direction may end alone', async () => {
  const v4 = await listen(AF_INET, (socket) => void count(socket));
  const v6 = await listen(AF_INET6, (socket) => void count(socket));
  assert.equal(await ask(v4, 'four'), '4 from 127.0.0.1');
  assert.equal(await ask(v6, 'sixsix'), '6 from ::1');
});

test('the other end may be the first to end', async () => {
  let late: Promise<Buffer> | undefined;
  const port = await listen(AF_INET, (socket) => {
    socket.end('bye');
    late = received(socket);
  });
  const stream = await openPortForward(runtime.ctx, pod, port);
  assert.equal(String(await received(stream)), 'bye');
  assert.equal(stream.writable, true);
  stream.end('late');
  assert.equal(String(await late), 'late');
});

test('eight at once, 2 MB each', async () => {
  const port = await listen(AF_INET, (socket) => socket.pipe(socket));
  const payloads = Array.from({ length: 8 }, (_, i) => Buffer.alloc(2 << 20, i + 1));
  const echo = async (payload: Buffer) => {
    const stream = await openPortForward(runtime.ctx, pod, port);
    stream.end(payload);
    return (await buffer(stream)).equals(payload);
  };
  assert.deepEqual(await Promise.all(payloads.map(echo)), Array(8).fill(true));
});

test('a port of a pod on the network of the node', async () => {
  const server = createServer((socket) => socket.end('host'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const { port } = server.address() as { port: number };
    const node = await runtime.pod({ namespaces: { network: 'node' } });
    assert.equal(await text(await openPortForward(runtime.ctx, node, port)), 'host');
    await assert.rejects(openPortForward(runtime.ctx, pod, port), { kind: 'Unavailable' });
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});

test('what nobody listens to, and what is no port or pod, is refused and leaves nothing', async () => {
  const fds = fdCount(process.pid);
  for (let round = 0; round < 20; round += 1) {
    await assert.rejects(openPortForward(runtime.ctx, pod, 9), {
      kind: 'Unavailable',
      message: new RegExp(`port 9 of sandbox ${pod} .127.0.0.1: ECONNREFUSED, ::1: ECONNREFUSED`),
    });
  }
  for (const port of [0, 65_536, 1.5]) {
    await assert.rejects(openPortForward(runtime.ctx, pod, port), { kind: 'InvalidArgument' });
  }
  await assert.rejects(openPortForward(runtime.ctx, 'none', 80), { kind: 'NotFound' });
  const late = new AbortController();
  const connecting = openPortForward(runtime.ctx, pod, 9, late.signal);
  late.abort();
  await assert.rejects(connecting, { kind: 'Cancelled' });
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(fdCount(process.pid), fds);
});
