/** Clients of a running container's streams: beside its log, beside each other, and after us. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { openAttach } from '../../src/runtime/attach.ts';
import { startContainer } from '../../src/runtime/start.ts';
import type { ContainerConfig } from '../../src/spec/config.ts';
import { DirectRuntime } from '../helpers/direct-runtime.ts';
import { fdCount, settledLeaks, snapshot } from '../helpers/leaks.ts';

let runtime: DirectRuntime;
let pod: string;

before(async () => {
  runtime = await DirectRuntime.open();
  pod = await runtime.pod({ logDirectory: runtime.dir });
});

after(() => runtime.close());

const ALL = { stdin: true, stdout: true, stderr: true, tty: false };
const OUTPUT = { ...ALL, stdin: false };

async function run(command: string[], change: Partial<ContainerConfig> = {}): Promise<string> {
  const id = await runtime.create(pod, { command, stdin: true, ...change });
  await startContainer(runtime.ctx, id);
  return id;
}

/** Reads until `wanted` has come; returns all that came so far. */
async function until(stream: Readable | undefined, wanted: string): Promise<string> {
  assert.ok(stream);
  let seen = '';
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    seen += String(chunk);
    if (seen.includes(wanted)) return seen;
  }
  throw new Error(`ended without ${JSON.stringify(wanted)}: ${JSON.stringify(seen)}`);
}

function monitorFds(): number {
  const { pid } = runtime.ctx.monitors.get(pod).connection;
  return fdCount(pid);
}

async function settles(read: () => number, wanted: number): Promise<number> {
  for (const end = Date.now() + 3000; read() > wanted && Date.now() < end; ) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return read();
}

test('two clients see both streams, and how the container ends', async () => {
  const script = 'read x; echo out-$x; echo err-$x >&2; read y; exit 7';
  const id = await run(['sh', '-c', script]);
  const one = await openAttach(runtime.ctx, id, ALL);
  const two = await openAttach(runtime.ctx, id, OUTPUT);
  assert.equal(two.stdin, undefined);
  one.stdin?.write('1\n');
  for (const client of [one, two]) {
    await until(client.stdout, 'out-1\n');
    await until(client.stderr, 'err-1\n');
  }
  const rest = [text(one.stdout ?? process.stdin), text(two.stderr ?? process.stdin)];
  one.stdin?.end('2\n');
  assert.deepEqual(await Promise.all([one.wait(), two.wait()]), [{ exitCode: 7 }, { exitCode: 7 }]);
  assert.deepEqual(await Promise.all(rest), ['', '']);
  await Promise.all([one.close(), two.close(), two.close()]);
  await assert.rejects(openAttach(runtime.ctx, id, ALL), { kind: 'FailedPrecondition' });
});

test('G-14: a client that does not read is cut off; log and others have every line', async () => {
  // The next lines come when the quick client has the last ones: however late this process is
  // scheduled, it stays within its MiB.
  const [rounds, lines] = [10, 500_000];
  const each = lines / rounds;
  const script = `for i in $(seq 0 ${rounds - 1}); do
    read x; seq $((i * ${each} + 1)) $(((i + 1) * ${each})); done`;
  const id = await run(['sh', '-c', script], { logPath: 'flood.log' });
  const slow = await openAttach(runtime.ctx, id, OUTPUT);
  const quick = await openAttach(runtime.ctx, id, ALL);
  let [had, asked] = [0, 0];
  quick.stdout?.on('data', (chunk: Buffer) => {
    for (const byte of chunk) if (byte === 10) had += 1;
    for (; had >= asked * each; asked += 1) quick.stdin?.write('\n');
  });
  const seen = text(quick.stdout ?? process.stdin);
  asked += 1;
  quick.stdin?.write('\n');
  assert.deepEqual(await quick.wait(), { exitCode: 0 });
  const expected = Array.from({ length: lines }, (_, i) => `${i + 1}\n`).join('');
  assert.ok((await seen) === expected, 'the quick client has every line');
  const log = readFileSync(join(runtime.dir, 'flood.log'), 'utf8').trimEnd().split('\n');
  assert.equal(log.length, lines);
  assert.ok(log.at(-1)?.endsWith(` stdout F ${lines}`));
  await assert.rejects(text(slow.stdout ?? process.stdin), { kind: 'ResourceExhausted' });
  await slow.close();
});

test('a slow client that keeps within its MiB loses nothing, and gets the end', async () => {
  const id = await run(['sh', '-c', 'read x; seq 100000 169999']);
  const client = await openAttach(runtime.ctx, id, ALL);
  client.stdin?.write('\n');
  assert.deepEqual(await client.wait(), { exitCode: 0 });
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal((await text(client.stdout ?? process.stdin)).length, 70_000 * 7);
  assert.equal(await text(client.stderr ?? process.stdin), '');
});

test('LG-12: stdin stays open after a client, but not with stdinOnce', async () => {
  const id = await run(['cat']);
  for (const line of ['one\n', 'two\n']) {
    const client = await openAttach(runtime.ctx, id, ALL);
    client.stdin?.end(line);
    await until(client.stdout, line);
    await client.close();
  }
  const once = await run(['sh', '-c', 'cat; echo over'], { stdinOnce: true });
  const client = await openAttach(runtime.ctx, once, ALL);
  const output = text(client.stdout ?? process.stdin);
  client.stdin?.end('three\n');
  assert.deepEqual(await client.wait(), { exitCode: 0 });
  assert.equal(await output, 'three\nover\n');
  // Its stdin is closed: what is written now goes nowhere, and is no error.
  client.stdin?.destroy();
});

test('a container without stdin has none, and one that ends it takes no more', async () => {
  const without = await run(['sleep', '1000'], { stdin: false });
  const client = await openAttach(runtime.ctx, without, ALL);
  assert.equal(client.stdin, undefined);
  await client.close();
  const deaf = await run(['sh', '-c', 'exec <&-; echo closed; sleep 1000']);
  const other = await openAttach(runtime.ctx, deaf, ALL);
  const big = Buffer.alloc(1 << 20);
  await new Promise<void>((resolve, reject) => {
    other.stdin?.on('error', reject);
    other.stdin?.end(big, () => resolve());
  });
  await other.close();
});

test('a client comes back after a restart of the program, to the same streams', async () => {
  const id = await run(['cat'], { logPath: 'cat.log' });
  const before = await openAttach(runtime.ctx, id, ALL);
  before.stdin?.write('before\n');
  await until(before.stdout, 'before\n');
  await before.close();
  await runtime.reopen();
  const again = await openAttach(runtime.ctx, id, ALL);
  again.stdin?.write('after\n');
  await until(again.stdout, 'after\n');
  await again.close();
  const log = readFileSync(join(runtime.dir, 'cat.log'), 'utf8');
  assert.match(log, / F before\n.* F after\n$/);
});

test('a terminal has one output for all, and a size', async () => {
  const script = 'while read x; do echo got-$x; stty size; done';
  const id = await run(['sh', '-c', script], { tty: true, logPath: 'tty.log' });
  const one = await openAttach(runtime.ctx, id, ALL);
  const two = await openAttach(runtime.ctx, id, OUTPUT);
  assert.equal(one.stderr, undefined);
  await one.resize(0, 80);
  await one.resize(41, 123);
  one.stdin?.write('a\n');
  for (const client of [one, two]) await until(client.stdout, 'got-a\r\n41 123\r\n');
  // The end of a client is not the end of the terminal.
  one.stdin?.end();
  await one.close();
  const three = await openAttach(runtime.ctx, id, ALL);
  three.stdin?.write('b\n');
  await until(three.stdout, 'got-b\r\n');
  await Promise.all([two.close(), three.close()]);
  assert.match(readFileSync(join(runtime.dir, 'tty.log'), 'utf8'), / F got-b\n/);
});

test('detaching leaves the container, and a hundred clients leave nothing', async () => {
  const id = await run(['cat']);
  const clean = snapshot({ pid: process.pid });
  const monitor = monitorFds();
  for (let round = 0; round < 100; round += 1) {
    const client = await openAttach(runtime.ctx, id, ALL);
    if (round % 2 === 0) client.stdin?.write('x');
    await client.close();
    assert.deepEqual(await client.wait(), { exitCode: 0 });
  }
  assert.equal(await settles(monitorFds, monitor), monitor);
  const ours = await settledLeaks(clean, { pid: process.pid });
  assert.equal(ours.fds, undefined);
  const client = await openAttach(runtime.ctx, id, ALL);
  client.stdin?.write('still here\n');
  await until(client.stdout, 'still here\n');
  await client.close();
});

test('clients of one container are limited, and told so', async () => {
  const id = await run(['cat']);
  const clients = await Promise.all(
    Array.from({ length: 16 }, () => openAttach(runtime.ctx, id, ALL)),
  );
  await assert.rejects(openAttach(runtime.ctx, id, ALL), { kind: 'ResourceExhausted' });
  await Promise.all(clients.map((client) => client.close()));
});

test('a call that is given up leaves no client', async () => {
  const id = await run(['cat']);
  const fds = fdCount(process.pid);
  const monitor = monitorFds();
  const signal = AbortSignal.abort();
  await assert.rejects(openAttach(runtime.ctx, id, ALL, signal), { kind: 'Cancelled' });
  const late = new AbortController();
  const attaching = openAttach(runtime.ctx, id, ALL, late.signal);
  late.abort();
  await assert.rejects(attaching, { kind: 'Cancelled' });
  assert.equal(await settles(monitorFds, monitor), monitor);
  assert.ok((await settles(() => fdCount(process.pid), fds)) <= fds);
});
