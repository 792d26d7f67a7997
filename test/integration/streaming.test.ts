/** Exec, attach and port-forward of a real server, by clients of both protocols. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { status as Code } from '@grpc/grpc-js';
import type { ExecRequest } from '../../src/cri/gen/cri.ts';
import { NamespaceMode } from '../../src/cri/gen/cri.ts';
import { fdCount } from '../helpers/leaks.ts';
import { runPod, type TestPod } from '../helpers/pod.ts';
import { TestServer } from '../helpers/server.ts';
import { SpdyClient } from '../helpers/spdy-client.ts';
import { ChannelClient, eventually, openCommand } from '../helpers/stream-server.ts';

let server: TestServer;
let image: string;
let pod: TestPod;
let containerId: string;

before(async () => {
  server = await TestServer.start();
  image = await server.importBusybox();
  pod = await runPod(server, image);
  containerId = await pod.run(['sleep', '1000']);
});
after(() => server.close());

const shell = { stdin: false, stdout: true, stderr: true, tty: false };

async function exec(script: string, more: Partial<ExecRequest> = {}): Promise<string> {
  const cmd = ['sh', '-c', script];
  const { url } = await server.client.exec({ containerId, cmd, ...shell, ...more });
  return url;
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

test('Exec runs a command with its streams and tells its exit code', async () => {
  const url = await exec('cat; echo error >&2; exit 42', { stdin: true });
  assert.match(url, /^http:\/\/127\.0\.0\.1:\d+\/exec\/[\w-]{22}$/);
  const { client, stream } = await openCommand(url, ['stdin', 'stdout', 'stderr']);
  await stream('stdin').write('input');
  await stream('stdin').end();
  assert.equal(await stream('stdout').text(), 'input');
  assert.equal(await stream('stderr').text(), 'error\n');
  assert.match(await stream('error').text(), /"reason":"ExitCode","message":"42"/);
  await client.closed;

  const socket = await ChannelClient.connect(await exec('echo $0; exit 3'), ['v5.channel.k8s.io']);
  assert.equal(await socket.closed, 1000);
  assert.equal(socket.text(1), 'sh\n');
  assert.match(socket.text(3), /"reason":"ExitCode","message":"3"/);
});

test('Exec tells why a command does not start (XS-9)', async () => {
  const url = await exec('', { cmd: ['/no/such'] });
  const { stream } = await openCommand(url, ['stdout', 'stderr']);
  const { status, message } = JSON.parse(await stream('error').text());
  assert.equal(status, 'Failure');
  assert.match(message, /\/no\/such/);
});

test('Exec with a terminal has its size, TERM and one output (XS-8, XS-10)', async () => {
  const script = 'stty size; echo $TERM; read line; stty size; echo "got $line" >&2';
  const url = await exec(script, { stdin: true, stderr: false, tty: true });
  const { stream } = await openCommand(url, ['stdin', 'stdout', 'resize']);
  await stream('stdout').until((text) => text.includes('xterm'));
  await stream('resize').write('{"Width":0,"Height":0}{"Width":123,"Height":45}');
  await new Promise((resolve) => setTimeout(resolve, 100));
  await stream('stdin').write('line\n');
  const text = await stream('stdout').text();
  assert.match(text, /45 123\r\n/);
  assert.match(text, /got line\r\n/);
  assert.match(await stream('error').text(), /Success/);
});

test('Exec carries 50 MB out and 5 MB in', async () => {
  const out = await openCommand(await exec('head -c 50000000 /dev/zero'), ['stdout', 'stderr']);
  await out.stream('stdout').ended;
  assert.equal(Buffer.concat(out.stream('stdout').chunks).length, 50_000_000);
  const bytes = randomBytes(5_000_000);
  const { stream } = await openCommand(await exec('sha256sum', { stdin: true }), [
    'stdin',
    'stdout',
    'stderr',
  ]);
  for (let at = 0; at < bytes.length; at += 50_000) {
    await stream('stdin').write(bytes.subarray(at, at + 50_000));
  }
  await stream('stdin').end();
  assert.match(await stream('stdout').text(), new RegExp(`^${sha256(bytes)} `));
});

test('a command ends with the connection of its client', async () => {
  const { client, stream } = await openCommand(await exec('echo $$; exec sleep 555'), [
    'stdout',
    'stderr',
  ]);
  await stream('stdout').until((text) => text.endsWith('\n'));
  client.close();
  const running = async () => {
    const { stdout } = await server.client.execSync({ containerId, cmd: ['ps'], timeout: 5n });
    return String(stdout).includes('sleep 555');
  };
  for (let i = 0; i < 100 && (await running()); i++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.equal(await running(), false);
});

test('Attach reaches the input and output of a container', async () => {
  const id = await pod.run(['sh', '-c', 'while read line; do echo "got $line"; done; exit 4'], {
    stdin: true,
    stdinOnce: true,
  });
  const request = { containerId: id, stdin: true, stdout: true, stderr: true, tty: false };
  const { url } = await server.client.attach(request);
  assert.match(url, /\/attach\//);
  const first = await openCommand(url, ['stdin', 'stdout', 'stderr']);
  const socket = await ChannelClient.connect(
    (await server.client.attach({ ...request, stdin: false })).url,
    ['v5.channel.k8s.io'],
  );
  await first.stream('stdin').write('one\n');
  await first.stream('stdout').until((text) => text === 'got one\n');
  await eventually(() => socket.text(1) === 'got one\n', 'both clients see it');
  await first.stream('stdin').end();
  assert.equal(await first.stream('stdout').text(), 'got one\n');
  assert.match(await first.stream('error').text(), /"Success"/, 'it exits with 4');
  assert.equal(await socket.closed, 1000);
});

/** Whether the pod's nc is there: its process has the port in its network namespace. */
function listens(port: number): boolean {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  return readdirSync('/proc').some((pid) => {
    try {
      const isNc = readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith(`nc\0-ll\0-p\0${port}`);
      return isNc && /:PORT .* 0A /m.test(tables(pid).replaceAll(`:${hex} `, ':PORT '));
    } catch {
      return false;
    }
  });
}

function tables(pid: string): string {
  return ['tcp', 'tcp6'].map((name) => readFileSync(`/proc/${pid}/net/${name}`, 'utf8')).join('');
}

test('PortForward reaches ports inside the pod, many at once', async () => {
  // One for each connection: busybox' nc resets some of those that come together.
  const ports = [7000, 7001, 7002, 7003, 7004, 7005, 7006, 7007];
  for (const port of ports) await pod.run(['nc', '-ll', '-p', String(port), '-e', 'cat']);
  const { url } = await server.client.portForward({ podSandboxId: pod.id, port: [] });
  const client = await SpdyClient.connect(url, 'portforward.k8s.io');
  const forward = async (port: number, i: number) => {
    const about = { port: String(port), requestid: String(i) };
    const error = await client.open({ streamtype: 'error', ...about });
    const data = await client.open({ streamtype: 'data', ...about });
    return { data, error };
  };
  const one = async (i: number) => {
    const { data, error } = await forward(7000 + i, i);
    const bytes = randomBytes(200_000);
    for (let at = 0; at < bytes.length; at += 20_000) {
      await data.write(bytes.subarray(at, at + 20_000));
    }
    await data.until((text) => text.length > 0 && Buffer.concat(data.chunks).length === 200_000);
    await data.end();
    await Promise.all([data.ended, error.ended]);
    assert.equal(error.received, '');
    assert.equal(sha256(Buffer.concat(data.chunks)), sha256(bytes));
  };
  await eventually(() => ports.every(listens), 'nobody listens');
  await Promise.all(ports.map((_, i) => one(i)));
  const refused = await forward(7100, 100);
  assert.match(await refused.error.text(), /^forwarding port 7100: /);
  client.close();
});

test('requests that make no sense are refused before anything is granted', async () => {
  const cmd = ['true'];
  const refused: [promise: Promise<unknown>, code: Code, details: RegExp][] = [
    [server.client.exec({ containerId, cmd }), Code.INVALID_ARGUMENT, /one of them must be set/],
    [
      server.client.exec({ containerId, cmd, stdout: true, stderr: true, tty: true }),
      Code.INVALID_ARGUMENT,
      /terminal/,
    ],
    [server.client.exec({ ...shell, containerId, cmd: [] }), Code.INVALID_ARGUMENT, /cmd/],
    [server.client.exec({ ...shell, containerId, cmd: ['a\0b'] }), Code.INVALID_ARGUMENT, /NUL/],
    [server.client.exec({ ...shell, containerId: 'none', cmd }), Code.NOT_FOUND, /none/],
    [server.client.attach({ containerId }), Code.INVALID_ARGUMENT, /one of them must be set/],
    [server.client.attach({ containerId: 'none', stdout: true }), Code.NOT_FOUND, /none/],
    [server.client.portForward({ podSandboxId: 'none' }), Code.NOT_FOUND, /none/],
    [
      server.client.portForward({ podSandboxId: pod.id, port: [0] }),
      Code.INVALID_ARGUMENT,
      /port\[0\]/,
    ],
    [
      server.client.portForward({ podSandboxId: pod.id, port: [80, 65_536] }),
      Code.INVALID_ARGUMENT,
      /port\[1\]/,
    ],
  ];
  for (const [promise, code, details] of refused) await assert.rejects(promise, { code, details });

  const created = await pod.create(['true']);
  for (const call of [
    server.client.exec({ ...shell, containerId: created, cmd }),
    server.client.attach({ ...shell, containerId: created }),
  ]) {
    await assert.rejects(call, { code: Code.FAILED_PRECONDITION, details: /created state/ });
  }
  const stopped = await runPod(server, image, NamespaceMode.CONTAINER, NamespaceMode.NODE);
  await server.client.stopPodSandbox({ podSandboxId: stopped.id });
  await assert.rejects(server.client.portForward({ podSandboxId: stopped.id }), {
    code: Code.FAILED_PRECONDITION,
  });
});

test('a container that stops between grant and connection is told on the error stream', async () => {
  const id = await pod.run(['sleep', '1000']);
  const { url } = await server.client.exec({ ...shell, containerId: id, cmd: ['true'] });
  await server.client.stopContainer({ containerId: id });
  const { stream } = await openCommand(url, ['stdout', 'stderr']);
  assert.match(JSON.parse(await stream('error').text()).message, /exited state/);
});

test('100 execs leak no descriptors, whether clients wait or go', async () => {
  const session = async (i: number) => {
    const { client, stream } = await openCommand(await exec('echo x; cat', { stdin: true }), [
      'stdin',
      'stdout',
      'stderr',
    ]);
    await stream('stdout').until((text) => text === 'x\n');
    if (i % 3 === 0) return client.close();
    await stream('stdin').end();
    assert.match(await stream('error').text(), /Success/);
    await client.closed;
  };
  await Promise.all([session(0), session(1)]);
  await new Promise((resolve) => setTimeout(resolve, 200));
  const before = fdCount(server.pid);
  for (let i = 0; i < 100; i += 10) {
    await Promise.all(Array.from({ length: 10 }, (_, j) => session(i + j)));
  }
  await eventually(() => fdCount(server.pid) <= before, 'descriptors leak');
});

test('a server that ends tells its clients, and ends their commands', async () => {
  const { client, stream } = await openCommand(await exec('echo up; exec sleep 556'), [
    'stdout',
    'stderr',
  ]);
  await stream('stdout').until((text) => text === 'up\n');
  const begin = Date.now();
  await server.end('SIGTERM');
  assert.ok(Date.now() - begin < 5_000, 'nothing is waited for any more');
  assert.match(await stream('error').text(), /the server is shutting down/);
  await client.closed;
  await server.launch();
  const { stdout } = await server.client.execSync({ containerId, cmd: ['ps'], timeout: 5n });
  assert.doesNotMatch(String(stdout), /sleep 556/);
});
