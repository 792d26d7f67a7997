/** Commands with streams for a client: much data, both ways, ends and breaks. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { openExecStreams } from '../../src/runtime/exec-stream.ts';
import { startContainer } from '../../src/runtime/start.ts';
import { DirectRuntime } from '../helpers/direct-runtime.ts';
import { fdCount } from '../helpers/leaks.ts';

let runtime: DirectRuntime;
let id: string;
let pod: string;

before(async () => {
  runtime = await DirectRuntime.open();
  pod = await runtime.pod();
  id = await runtime.create(pod);
  await startContainer(runtime.ctx, id);
});

after(() => runtime.close());

const STREAMS = { stdin: true, stdout: true, stderr: true, tty: false };
const nothing = process.stdin;

function exec(script: string, change: Partial<typeof STREAMS> = {}, signal?: AbortSignal) {
  const request = { argv: ['sh', '-c', script], ...STREAMS, ...change };
  return openExecStreams(runtime.ctx, id, request, signal);
}

async function commands(name: string): Promise<number> {
  const streams = await exec(`ps | grep -c "[${name[0]}]${name.slice(1)}"`, { stdin: false });
  const counted = Number(await text(streams.stdout ?? nothing));
  await streams.close();
  return counted;
}

async function settles(read: () => number | Promise<number>, wanted: number): Promise<number> {
  for (const end = Date.now() + 3000; (await read()) > wanted && Date.now() < end; ) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return read();
}

test('both outputs and the exit code', async () => {
  const streams = await exec('echo out; echo err >&2; exit 5');
  const output = [text(streams.stdout ?? nothing), text(streams.stderr ?? nothing)];
  assert.deepEqual(await Promise.all(output), ['out\n', 'err\n']);
  assert.deepEqual(await streams.wait(), { exitCode: 5 });
  await streams.close();
  await streams.close();
});

test('50 MB out, to a reader that stops now and then, long after the exit', async () => {
  const streams = await exec('head -c 52428800 /dev/zero');
  let size = 0;
  for await (const chunk of streams.stdout ?? nothing) {
    size += chunk.length;
    if (size % 7 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert.equal(size, 52_428_800);
  assert.deepEqual(await streams.wait(), { exitCode: 0 });
  await streams.close();
});

test('5 MB in, and its end ends the process', async () => {
  const streams = await exec('wc -c');
  streams.stdin?.end(Buffer.alloc(5 << 20));
  assert.equal((await text(streams.stdout ?? nothing)).trim(), String(5 << 20));
  assert.deepEqual(await streams.wait(), { exitCode: 0 });
  await streams.close();
});

test('a process that reads no input is not disturbed by it', async () => {
  const streams = await exec('exec <&-; echo done');
  await new Promise<void>((resolve, reject) => {
    streams.stdin?.on('error', reject);
    streams.stdin?.end(Buffer.alloc(1 << 20), () => resolve());
  });
  assert.equal(await text(streams.stdout ?? nothing), 'done\n');
  assert.deepEqual(await streams.wait(), { exitCode: 0 });
  await streams.close();
});

test('streams that were not asked for are not there', async () => {
  const streams = await exec('echo unseen; cat', { stdin: false, stderr: false });
  assert.equal(streams.stdin, undefined);
  assert.equal(streams.stderr, undefined);
  assert.equal(await text(streams.stdout ?? nothing), 'unseen\n');
  await streams.close();
});

test('XS-8, XS-10: a terminal with a TERM and a size', async () => {
  const script = 'echo $TERM; read x; stty size; exit 3';
  const streams = await exec(script, { tty: true });
  assert.equal(streams.stderr, undefined);
  await streams.resize(0, 0);
  await streams.resize(31, 77);
  streams.stdin?.end('go\n');
  const lines = (await text(streams.stdout ?? nothing)).split('\r\n');
  // The echo of the input may come before what the command says first.
  assert.deepEqual(lines.toSorted(), ['', '31 77', 'go', 'xterm']);
  assert.deepEqual(await streams.wait(), { exitCode: 3 });
  await streams.close();
});

test('a terminal whose output nobody wants does not stop its process', async () => {
  const streams = await exec('seq 1 100000; exit 6', { tty: true, stdout: false });
  assert.deepEqual(await streams.wait(), { exitCode: 6 });
  await streams.close();
});

test('a terminal whose process does not read holds up its writer alone, and loses nothing', async () => {
  const script =
    'stty raw -echo; echo ready; until [ -e /tmp/read ]; do sleep 0.05; done; ' +
    'head -c 1000000 | md5sum';
  const streams = await exec(script, { tty: true, stderr: false });
  const { stdin, stdout = nothing } = streams;
  let output = '';
  stdout.on('data', (chunk: Buffer) => {
    output += chunk;
  });
  const ended = once(stdout, 'end');
  await settles(() => Number(!output.includes('ready')), 0);
  let worst = 0;
  // What a turn of the event loop costs, however much of the machine others have.
  let last = process.cpuUsage();
  const clock = setInterval(() => {
    const { user, system } = process.cpuUsage(last);
    worst = Math.max(worst, (user + system) / 1000);
    last = process.cpuUsage();
  }, 5);
  const lines = Buffer.from('0123456789abcde\n'.repeat(62_500));
  let taken = false;
  stdin?.write(lines, () => {
    taken = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.ok(!taken, 'nobody reads it');
  const reader = await exec('touch /tmp/read', { stdin: false });
  await reader.wait();
  await reader.close();
  await ended;
  const digest = createHash('md5').update(lines).digest('hex');
  assert.match(output, new RegExp(`^ready\\r?\\n${digest}  -`));
  clearInterval(clock);
  assert.ok(worst < 200, `the event loop was kept for ${worst} ms`);
  assert.deepEqual(await streams.wait(), { exitCode: 0 });
  await streams.close();
});

test('a terminal gives all that a process wrote before it ended, however late it is read', async () => {
  for (let round = 0; round < 20; round++) {
    const script = 'sleep 0.05; head -c 6000 /dev/zero | tr "\\0" x; echo; echo last';
    const streams = await exec(script, { stdin: false, tty: true, stderr: false });
    const output = text(streams.stdout ?? nothing);
    // The process ends meanwhile; the event loop sees its output and its end at once.
    const end = performance.now() + 150;
    while (performance.now() < end);
    assert.equal(
      (await output).replace(/x+/, (all) => String(all.length)),
      '6000\r\nlast\r\n',
    );
    await streams.close();
  }
});

test('a terminal whose process never reads lets go of its writer', async () => {
  const streams = await exec('sleep 1000', { tty: true, stderr: false });
  const written = new Promise((resolve) => {
    streams.stdin?.write(Buffer.alloc(1_000_000, '\n'), resolve);
  });
  await new Promise((resolve) => setTimeout(resolve, 200));
  await streams.close();
  assert.deepEqual(await streams.wait(), { exitCode: 137 });
  await written;
});

test('XS-6: a child that holds the output open does not hold up its end', async () => {
  const options = runtime.ctx.options as { execDrainTimeoutMs: number };
  const configured = options.execDrainTimeoutMs;
  options.execDrainTimeoutMs = 300;
  try {
    const streams = await exec('echo early; sleep 31 & exit 0');
    const begun = Date.now();
    assert.equal(await text(streams.stdout ?? nothing), 'early\n');
    assert.ok(Date.now() - begun < 5000);
    await streams.close();
  } finally {
    options.execDrainTimeoutMs = configured;
  }
});

test('closing kills the command and frees its descriptors', async () => {
  const { pid } = runtime.ctx.monitors.get(pod).connection;
  const clean = { ours: fdCount(process.pid), monitor: fdCount(pid) };
  for (let round = 0; round < 50; round += 1) {
    const streams = await exec('exec sleep 4321', { tty: round % 2 === 0 });
    await streams.close();
    assert.deepEqual(await streams.wait(), { exitCode: 137 });
  }
  assert.equal(await settles(() => commands('4321'), 0), 0);
  assert.equal(await settles(() => fdCount(process.pid), clean.ours), clean.ours);
  assert.equal(await settles(() => fdCount(pid), clean.monitor), clean.monitor);
});

test('XS-1, XS-9: what cannot run is refused', async () => {
  const created = await runtime.create(pod);
  const request = { argv: ['true'], ...STREAMS };
  const refused = { kind: 'FailedPrecondition' };
  await assert.rejects(openExecStreams(runtime.ctx, created, request), refused);
  await assert.rejects(openExecStreams(runtime.ctx, 'none', request), { kind: 'NotFound' });
  const fds = fdCount(process.pid);
  const missing = { ...request, argv: ['/no/such'] };
  await assert.rejects(openExecStreams(runtime.ctx, id, missing), /no such file/);
  await assert.rejects(openExecStreams(runtime.ctx, id, { ...missing, tty: true }), /no such file/);
  const late = new AbortController();
  const starting = exec('sleep 4322', {}, late.signal);
  late.abort();
  await assert.rejects(starting, { kind: 'Cancelled' });
  assert.equal(await settles(() => commands('4322'), 0), 0);
  assert.ok((await settles(() => fdCount(process.pid), fds)) <= fds);
});
