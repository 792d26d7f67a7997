/** StartContainer and what follows it, guarantee by guarantee (docs/guarantees.md). */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CoracleError } from '../../src/errors.ts';
import { keepAlive, settledWithin } from '../../src/runtime/deferred.ts';
import { type ExecRequest, openExec } from '../../src/runtime/exec.ts';
import type { Exit } from '../../src/runtime/monitors.ts';
import { removeContainer } from '../../src/runtime/remove.ts';
import { startContainer } from '../../src/runtime/start.ts';
import { logPath } from '../../src/runtime/stdio.ts';
import { stopContainer } from '../../src/runtime/stop.ts';
import { stopSandbox } from '../../src/runtime/stop-sandbox.ts';
import type { SandboxConfig } from '../../src/spec/config.ts';
import { gate } from '../helpers/direct-runtime.ts';
import { directSuite } from '../helpers/direct-suite.ts';
import { fdCount } from '../helpers/leaks.ts';

const suite = directSuite();
const { runtime, status, state, exited } = suite;
let podId: string;

beforeEach(async () => {
  podId = await runtime.pod();
});

const assertClean = () => suite.assertClean(...runtime.pods());

const fails = () => Promise.reject(new CoracleError('ResourceExhausted', 'injected'));

async function running(pod = podId, command = ['sleep', '1000']): Promise<string> {
  const id = await runtime.create(pod, { command });
  await startContainer(runtime.ctx, id);
  return id;
}

/** A pod whose containers log into `directory`. */
async function loggingPod(more: Partial<SandboxConfig> = {}) {
  const logDirectory = join(runtime.dir, 'logs');
  mkdirSync(logDirectory, { recursive: true });
  return { pod: await runtime.pod({ logDirectory, ...more }), logDirectory };
}

/** A failed start is final: 128, StartError, and what went wrong. */
function assertStartError(id: string, message: RegExp): void {
  const { exitCode, reason, message: told, pid, starting } = status(id);
  assert.deepEqual(
    [state(id), exitCode, reason, pid, starting],
    ['exited', 128, 'StartError', 0, false],
  );
  assert.match(told, message);
}

test('ST-1, ST-5: only a created container starts, and Starting ends with the start', async () => {
  const { ctx } = runtime;
  const id = await runtime.create(podId);
  await stopContainer(ctx, id, 1000);
  assert.equal(state(id), 'created', 'what does not run is not stopped');
  await startContainer(ctx, id);
  assert.equal(status(id).starting, false);
  await assert.rejects(startContainer(ctx, id), {
    kind: 'FailedPrecondition',
    message: /running state/,
  });
  assert.equal(state(id), 'running');
  await stopContainer(ctx, id, 0);
  await assert.rejects(startContainer(ctx, id), {
    kind: 'FailedPrecondition',
    message: /exited state/,
  });
  assert.equal(status(id).exitCode, 137, 'a start that is refused changes nothing');
  const failed = await runtime.create(podId, { command: ['/no/such'] });
  await assert.rejects(startContainer(ctx, failed), /no such file/);
  assertStartError(failed, /no such file/);
  await removeContainer(ctx, failed);
  await assertClean();
});

test('ST-9, G-9: the first error of a start stays, whatever becomes of its undoing', async () => {
  const { ctx } = runtime;
  const { connection } = ctx.monitors.get(podId);
  const gone = await runtime.create(podId);
  ctx.containers.get(gone).status.updateSync = async () => {
    await connection.delete(gone);
    return fails();
  };
  await assert.rejects(startContainer(ctx, gone), /injected/);
  assertStartError(gone, /^injected$/);

  const kept = await runtime.create(podId);
  ctx.containers.get(kept).status.updateSync = fails;
  const refuse = () => Promise.reject(new Error('cannot be deleted'));
  Object.defineProperty(connection, 'delete', { value: refuse, configurable: true });
  await assert.rejects(startContainer(ctx, kept), /^CoracleError: injected$/);
  assertStartError(kept, /^injected$/);
  Reflect.deleteProperty(connection, 'delete');
  await removeContainer(ctx, kept);
  assert.deepEqual(await connection.state(), []);

  const lost = await runtime.create(podId);
  const broken = Object.assign(new Error('lost'), {
    step: 'monitor connection',
    errno: 0,
    path: '',
  });
  const breaks = () => Promise.reject(broken);
  Object.defineProperty(connection, 'delete', { value: breaks, configurable: true });
  await removeContainer(ctx, lost);
  assert.equal(ctx.containers.has(lost), false);
  Reflect.deleteProperty(connection, 'delete');
  await assertClean();
});

test('ST-10: nothing starts in a pod that has stopped since', async () => {
  const { ctx } = runtime;
  const id = await runtime.create(podId);
  await stopSandbox(ctx, podId);
  await assert.rejects(startContainer(ctx, id), { kind: 'FailedPrecondition' });
  assertStartError(id, /is not ready/);
  await assert.rejects(runtime.create(podId), { kind: 'FailedPrecondition' });
  await assert.rejects(runtime.create('0'.repeat(64)), { kind: 'NotFound' });
  await assertClean();
});

test('ST-11, CR-16: a target has to run, in the same pod, at the creation and at the start', async () => {
  const { ctx } = runtime;
  const target = await running();
  const security = { pid: 'target', targetId: target } as const;
  const id = await runtime.create(podId, { security });
  const other = await runtime.pod();
  await assert.rejects(runtime.create(other, { security }), { kind: 'InvalidArgument' });
  await stopContainer(ctx, target, 0);
  await assert.rejects(runtime.create(podId, { security }), {
    kind: 'FailedPrecondition',
    message: /target container .* exited state/,
  });
  await assert.rejects(startContainer(ctx, id), { kind: 'FailedPrecondition' });
  assertStartError(id, /target container .* exited state/);
  await assertClean();
});

test('ST-13: a process that ends before its start is recorded is EXITED, and not RUNNING again', async () => {
  const { ctx } = runtime;
  const { connection } = ctx.monitors.get(podId);
  for (const code of [0, 7]) {
    const id = await runtime.create(podId, { command: ['sh', '-c', `exit ${code}`] });
    const seen: string[] = [];
    const unsubscribe = ctx.events.subscribe(({ type }) => seen.push(`${type}:${state(id)}`));
    const cell = ctx.containers.get(id).status;
    cell.updateSync = async (fn) => {
      while ((await connection.state()).find((each) => each.id === id)?.state !== 'exited') {
        await sleep(1);
      }
      Reflect.deleteProperty(cell, 'updateSync');
      await cell.updateSync(fn);
    };
    await startContainer(ctx, id);
    await exited(id);
    unsubscribe();
    assert.deepEqual(seen, ['started:running', 'stopped:exited']);
    assert.equal(status(id).exitCode, code);
    assert.ok(status(id).finishedAt >= status(id).startedAt, 'G-8');
  }
  await assertClean();
});

test('ST-16: the log is made by the start, and ends with both streams', async () => {
  const { pod, logDirectory } = await loggingPod();
  const command = ['sh', '-c', 'echo one; exec >&-; echo two >&2; sleep 0.05; echo three >&2'];
  const id = await runtime.create(pod, { command, logPath: 'c.log' });
  const log = join(logDirectory, 'c.log');
  assert.equal(existsSync(log), false);
  await startContainer(runtime.ctx, id);
  assert.equal(existsSync(log), true);
  await exited(id);
  const lines = readFileSync(log, 'utf8').trimEnd().split('\n');
  assert.deepEqual(
    lines.map((line) => line.slice(line.indexOf(' ') + 1)),
    ['stdout F one', 'stderr F two', 'stderr F three'],
  );
  await assertClean();
});

test('CR-10, LG-7: without a directory or a name nothing is logged, and nobody is held up', async () => {
  const { pod } = await loggingPod();
  const flood = ['dd', 'if=/dev/zero', 'bs=64k', 'count=200'];
  const ids = [
    await runtime.create(pod, { command: flood }),
    await runtime.create(podId, { command: flood, logPath: 'c.log' }),
  ];
  for (const id of ids) {
    assert.equal(logPath(runtime.ctx, runtime.ctx.containers.get(id).record), undefined);
    await startContainer(runtime.ctx, id);
    await exited(id);
    assert.equal(status(id).exitCode, 0);
  }
  await assertClean();
});

const command = (argv: string[]): ExecRequest => ({
  argv,
  stdio: [{ type: 'null' }, { type: 'null' }, { type: 'null' }],
});

test('ST-24, EX-14: execs end before the container is told to have ended, and end nothing by themselves', async () => {
  const { ctx } = runtime;
  const shared = await runtime.pod({ namespaces: { network: 'none', pid: 'pod' } });
  for (const pod of [podId, shared]) {
    const script = 'while ! test -e /over; do sleep 0.01; done; exit 4';
    const id = await runtime.create(pod, {
      command: ['sh', '-c', script],
      ...(pod === shared && { security: { pid: 'pod' } }),
    });
    await startContainer(ctx, id);
    const short = await openExec(ctx, id, command(['sh', '-c', 'exit 9']));
    assert.equal((await short.wait()).exitCode, 9);
    assert.equal(state(id), 'running');
    const order: string[] = [];
    const execs = await Promise.all(
      Array.from({ length: 8 }, () => openExec(ctx, id, command(['sleep', '1000']))),
    );
    const waits = execs.map((exec) => exec.wait().then(() => order.push('exec')));
    await openExec(ctx, id, command(['touch', '/over']));
    await exited(id);
    order.push('init');
    await Promise.all(waits);
    assert.equal(order.indexOf('init'), 8, order.join());
    assert.equal(status(id).exitCode, 4);
    await assert.rejects(openExec(ctx, id, command(['true'])), { kind: 'FailedPrecondition' });
  }
  await assertClean();
});

test('EX-1: an exit that hangs in its handling holds up no other', async () => {
  const { ctx } = runtime;
  const [stuck, ...others] = [await running(), await running(), await running()];
  const { passed, open } = gate();
  const cell = ctx.containers.get(stuck ?? '').status;
  const settle = cell.settle.bind(cell);
  cell.settle = async (fn) => {
    await passed;
    return settle(fn);
  };
  const stop = stopContainer(ctx, stuck ?? '', 0);
  const begin = performance.now();
  await Promise.all(others.map((id) => stopContainer(ctx, id, 0)));
  assert.ok(performance.now() - begin < 1000);
  assert.equal(await settledWithin(stop, 50), false, 'SP-9: a stop returns once it is recorded');
  open();
  await stop;
  assert.equal(status(stuck ?? '').exitCode, 137);
  await assertClean();
});

test('EX-15: a pod whose monitor dies is NotReady when that is told, and stays so', async () => {
  const { ctx } = runtime;
  const told: string[] = [];
  let over = () => {};
  const unfollow = ctx.events.follow({
    event: (event) => {
      if (!('sandbox' in event) || event.type !== 'stopped') return;
      told.push(`${event.type}:${event.sandbox.state}`);
      over();
    },
    closed: () => {},
  });
  // What is told at once is of earlier pods.
  told.length = 0;
  const { passed, open } = gate();
  over = open;
  process.kill(ctx.monitors.get(podId).connection.pid, 'SIGKILL');
  await keepAlive(passed);
  unfollow();
  assert.deepEqual(told, ['stopped:notReady']);
  const { stoppedAt } = ctx.sandboxes.get(podId).record;
  await runtime.reopen();
  assert.equal(runtime.ctx.sandboxes.get(podId).record.stoppedAt, stoppedAt);
  await assertClean();
});

test('XS-3, XS-7: execs that cannot start leave no wait, process or descriptor', async () => {
  const { ctx } = runtime;
  const id = await running();
  const { connection } = ctx.monitors.get(podId);
  const before = [fdCount(process.pid), fdCount(connection.pid)];
  const pipe = { type: 'pipe' } as const;
  const monitor = ctx.monitors.get(podId);
  const arm = monitor.armExit.bind(monitor);
  const waits: Promise<Exit>[] = [];
  monitor.armExit = (name) => {
    waits.push(arm(name));
    return arm(name);
  };
  for (let turn = 0; turn < 30; turn += 1) {
    const request: ExecRequest = { argv: ['/no/such'], stdio: [pipe, pipe, pipe] };
    await assert.rejects(openExec(ctx, id, request), /no such file/);
  }
  assert.equal((await connection.state()).length, 1);
  assert.deepEqual([fdCount(process.pid), fdCount(connection.pid)], before);
  assert.equal(waits.length, 30);
  assert.equal(await settledWithin(Promise.all(waits), 5000), true, 'every wait is let go of');
  Reflect.deleteProperty(monitor, 'armExit');
  await assertClean();
});

test('SS-12: a monitor keeps no descriptor of containers that are removed', async () => {
  const { ctx } = runtime;
  const { pod } = await loggingPod();
  const { pid } = ctx.monitors.get(pod).connection;
  const once = async (turn: number) => {
    const change = { command: ['echo', 'x'], logPath: `c-${turn}.log`, stdin: true };
    const id = await runtime.create(pod, change);
    await startContainer(ctx, id);
    await exited(id);
    await removeContainer(ctx, id);
  };
  await once(0);
  const before = readdirSync(`/proc/${pid}/fd`).length;
  for (let turn = 1; turn <= 20; turn += 1) await once(turn);
  assert.equal(readdirSync(`/proc/${pid}/fd`).length, before);
  await assertClean();
});
