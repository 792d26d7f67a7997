/** The library in a plain program: no server, no gRPC. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { armFailpoints, failpointHits } from '../../src/failpoint.ts';
import type { ContainerEvent, Runtime } from '../../src/index.ts';
import { fdCount, untilNothing } from '../helpers/leaks.ts';
import { librarySuite } from '../helpers/library-suite.ts';

let runtime: Runtime;
let image: string;

const dir = librarySuite((opened, imported) => {
  runtime = opened;
  image = imported;
});

const quiet = { namespaces: { network: 'none' } } as const;

test('a container writes to a stream of this program and ends', async () => {
  await using pod = await runtime.runPod(quiet);
  await using container = await pod.createContainer({ image, command: ['echo', 'hello'] });
  await container.start({ stdout: 'pipe' });
  assert.ok(container.stdout);
  assert.equal(await text(container.stdout), 'hello\n');
  const { exitCode, reason } = await container.wait();
  assert.deepEqual({ exitCode, reason }, { exitCode: 0, reason: 'Completed' });
});

test('run creates and starts, with streams of its own, a terminal, or none', async () => {
  await using pod = await runtime.runPod(quiet);
  const before = fdCount(process.pid);
  for (let n = 0; n < 3; n += 1) {
    const command = ['sh', '-c', 'cat; echo to-stderr >&2; exit 4'];
    await using container = await pod.run(
      { image, command },
      { stdin: 'pipe', stdout: 'pipe', stderr: 'pipe' },
    );
    container.stdin?.end('from-stdin');
    assert.equal(await text(container.stdout ?? process.stdin), 'from-stdin');
    assert.equal(await text(container.stderr ?? process.stdin), 'to-stderr\n');
    assert.equal((await container.wait()).exitCode, 4);
  }
  await using plain = await pod.run({ image, command: ['true'], name: 'plain' });
  assert.equal((await plain.wait()).exitCode, 0);
  await using shell = await pod.run({ image, command: ['sh', '-c', 'tty'], tty: true }, {});
  let said = '';
  shell.terminal?.on('data', (piece: Buffer) => {
    said += piece.toString();
  });
  await shell.wait();
  while (said === '') await new Promise((resolve) => setTimeout(resolve, 10));
  assert.match(said, /^\/dev\/(pts\/0|console)\r\n$/);
  shell.terminal?.destroy();
  while (fdCount(process.pid) > before) await new Promise((resolve) => setTimeout(resolve, 10));
});

test('a container that was launched ahead is started with the streams of then, or anew', async () => {
  await using pod = await runtime.runPod(quiet);
  const before = fdCount(process.pid);
  const ahead = { stdout: 'pipe' } as const;
  const said = async (start: { stdout: 'pipe' } | undefined, wait: number) => {
    const command = ['sh', '-c', 'echo $$'];
    await using container = await pod.createContainer({ image, command }, { ahead });
    await new Promise((resolve) => setTimeout(resolve, wait));
    await container.start(start);
    return container.stdout && (await text(container.stdout));
  };
  assert.deepEqual(
    await Promise.all([said(undefined, 0), said(undefined, 100), said(ahead, 0), said(ahead, 100)]),
    Array.from({ length: 4 }, () => '1\n'),
  );
  await using never = await pod.createContainer({ image, command: ['true'] }, { ahead });
  await never.remove();
  while (fdCount(process.pid) > before) await new Promise((resolve) => setTimeout(resolve, 10));
});

test('what run cannot start is gone, and its streams with it', async () => {
  await using pod = await runtime.runPod(quiet);
  const before = fdCount(process.pid);
  for (const command of [['/no/such'], ['/etc']]) {
    await assert.rejects(pod.run({ image, command }, { stdout: 'pipe' }), {
      kind: 'FailedPrecondition',
      message: /^exec /,
    });
  }
  assert.deepEqual(pod.containers(), []);
  await assert.rejects(pod.run({ image, command: ['true'] }, { stdin: 'log' }), {
    kind: 'InvalidArgument',
  });
  const signal = AbortSignal.abort();
  await assert.rejects(pod.run({ image, command: ['true'] }, {}, { signal }), /abort/i);
  assert.deepEqual(pod.containers(), []);
  while (fdCount(process.pid) > before) await new Promise((resolve) => setTimeout(resolve, 10));
});

test('an exit is known before it is on disk, and only who asks for that is told then', async () => {
  await using pod = await runtime.runPod(quiet);
  await using container = await pod.createContainer({ image, command: ['sh', '-c', 'exit 3'] });
  armFailpoints('store.flush=delay(600)');
  try {
    await container.start();
    const order: string[] = [];
    const durable = container.wait().finally(() => order.push('durable'));
    const known = await container.wait({ durable: false });
    order.push('known');
    assert.equal(container.info().state, 'running');
    const recorded = await durable;
    assert.deepEqual(order, ['known', 'durable']);
    assert.deepEqual(recorded, known);
    assert.deepEqual([known.exitCode, known.reason], [3, 'Error']);
    assert.equal(container.info().state, 'exited');
    assert.deepEqual(await container.wait({ durable: false }), recorded);
  } finally {
    armFailpoints('');
  }
  const waits = pod.createContainer({ image, command: ['true'] }).then((made) => {
    const wait = made.wait({ durable: false });
    return made.remove().then(() => wait);
  });
  await assert.rejects(waits, { kind: 'NotFound' });
});

test('who waits for no record hears of an exit before one is begun', async () => {
  await using pod = await runtime.runPod(quiet);
  await using container = await pod.createContainer({ image, command: ['cat'] });
  await container.start({ stdin: 'pipe' });
  const commits = () => failpointHits().get('store.commit') ?? 0;
  armFailpoints('store.commit=count');
  try {
    const known = container.wait({ durable: false }).then(commits);
    const durable = container.wait().then(commits);
    container.stdin?.end();
    assert.deepEqual([await known, await durable], [0, 1]);
  } finally {
    armFailpoints('');
  }
});

test('stdin reaches the container, and its end ends it', async () => {
  await using pod = await runtime.runPod(quiet);
  await using container = await pod.createContainer({ image, command: ['sort'] });
  await container.start({ stdin: 'pipe', stdout: 'pipe' });
  container.stdin?.end('b\na\n');
  assert.equal(await text(container.stdout ?? process.stdin), 'a\nb\n');
  assert.equal((await container.wait()).exitCode, 0);
});

test('raw output is spliced to a file', async () => {
  await using pod = await runtime.runPod(quiet);
  const path = join(dir, 'raw.out');
  const fd = openSync(path, 'w');
  try {
    await using container = await pod.createContainer({ image, command: ['seq', '1', '100000'] });
    await container.start({ stdout: { raw: fd } });
    assert.equal((await container.wait()).exitCode, 0);
  } finally {
    closeSync(fd);
  }
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  assert.equal(lines.length, 100_000);
  assert.equal(lines.at(-1), '100000');
});

test('an attachment sees, feeds and leaves a container; a port of its pod is reached', async () => {
  await using pod = await runtime.runPod(quiet);
  await using container = await pod.createContainer({ image, command: ['cat'], stdin: true });
  await container.start();
  {
    await using first = await container.attach({ stderr: false });
    assert.equal(first.stderr, null);
    first.stdin?.write('one\n');
    assert.equal(String((await once(first.stdout ?? process.stdin, 'data'))[0]), 'one\n');
  }
  assert.equal(container.info().state, 'running');
  await using second = await container.attach();
  await container.kill('SIGKILL');
  assert.deepEqual(await second.wait(), { exitCode: 137 });
  await assert.rejects(pod.forward(9), { kind: 'Unavailable' });
});

test('exec, signals and the events in their order', async () => {
  const events: ContainerEvent[] = [];
  const unsubscribe = runtime.subscribe((event) => events.push(event));
  await using pod = await runtime.runPod(quiet);
  const container = await pod.createContainer({ image, command: ['sleep', '1000'] });
  await container.start();
  const { stdout } = await container.execSync(['cat', '/proc/1/comm']);
  assert.equal(stdout.toString(), 'sleep\n');
  await using shell = await container.exec(['sh', '-c', 'cat; exit 4'], {
    stdin: 'pipe',
    stdout: 'pipe',
  });
  shell.stdin?.end('through exec');
  assert.equal(await text(shell.stdout ?? process.stdin), 'through exec');
  assert.equal((await shell.wait()).exitCode, 4);
  await container.kill('SIGKILL');
  assert.equal((await container.wait()).exitCode, 137);
  await container.remove();
  unsubscribe();
  assert.deepEqual(
    events.map(({ type }) => type),
    ['created', 'started', 'stopped', 'deleted'],
  );
});

test('a terminal carries both directions', async () => {
  await using pod = await runtime.runPod(quiet);
  await using container = await pod.createContainer({
    image,
    command: ['sh'],
    tty: true,
    stdin: true,
  });
  await container.start({});
  const { terminal } = container;
  assert.ok(terminal);
  let seen = '';
  terminal.on('data', (chunk: Buffer) => {
    seen += chunk.toString();
  });
  const closed = new Promise((resolve) => terminal.once('close', resolve));
  await container.resize(40, 120);
  terminal.write('stty size; exit 6\n');
  assert.equal((await container.wait()).exitCode, 6);
  await closed;
  assert.match(seen, /40 120/);
});

test('an AbortSignal ends a wait, and the container goes on', async () => {
  await using pod = await runtime.runPod(quiet);
  await using container = await pod.createContainer({ image, command: ['sleep', '1000'] });
  await container.start();
  await assert.rejects(container.wait({ signal: AbortSignal.timeout(20) }), /timeout|aborted/i);
  assert.equal(container.info().state, 'running');
});

test('ST-12, ST-19, EX-12: 200 launches, every exit, and each event when the status says so', async () => {
  await using pod = await runtime.runPod(quiet);
  const seen = new Map<string, string[]>();
  const stateNow = new Map<string, () => string>();
  const unsubscribe = runtime.subscribe(({ type, containerId }) => {
    const state = type === 'deleted' ? 'gone' : (stateNow.get(containerId)?.() ?? 'created');
    seen.set(containerId, [...(seen.get(containerId) ?? []), `${type}:${state}`]);
  });
  for (let turn = 0; turn < 200; turn += 1) {
    await using container = await pod.createContainer({ image, command: ['/bin/true'] });
    stateNow.set(container.id, () => container.info().state);
    await container.start();
    assert.equal((await container.wait()).exitCode, 0);
  }
  unsubscribe();
  assert.equal(seen.size, 200);
  for (const events of seen.values()) {
    assert.deepEqual(events, [
      'created:created',
      'started:running',
      'stopped:exited',
      'deleted:gone',
    ]);
  }
});

test('100 launches leave no descriptor behind', async () => {
  await using pod = await runtime.runPod(quiet);
  const launch = async () => {
    await using container = await pod.createContainer({ image, command: ['echo', 'x'] });
    await container.start({ stdout: 'pipe', stderr: 'pipe', stdin: 'pipe' });
    container.stdin?.destroy();
    await text(container.stdout ?? process.stdin);
    await container.wait();
    container.stderr?.destroy();
  };
  await launch();
  const before = fdCount(process.pid);
  for (let turn = 0; turn < 100; turn += 1) await launch();
  // A monitor that waits for a next pod has some, for ten seconds at most.
  const left = () => (fdCount(process.pid) > before + 1 ? ['descriptors'] : []);
  assert.deepEqual(await untilNothing(left), []);
});
