/** Stopping and removing, guarantee by guarantee (docs/guarantees.md). */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CoracleError } from '../../src/errors.ts';
import { keepAlive } from '../../src/runtime/deferred.ts';
import { recordExit } from '../../src/runtime/exits.ts';
import { exitDir, snapshotDir } from '../../src/runtime/paths.ts';
import { removeContainer } from '../../src/runtime/remove.ts';
import { removeSandbox } from '../../src/runtime/remove-sandbox.ts';
import { startContainer } from '../../src/runtime/start.ts';
import { stopContainer } from '../../src/runtime/stop.ts';
import { gate, podConfig } from '../helpers/direct-runtime.ts';
import { directSuite } from '../helpers/direct-suite.ts';

const suite = directSuite();
const { runtime, status, state } = suite;
let podId: string;

beforeEach(async () => {
  podId = await runtime.pod({ logDirectory: logs() });
});

const assertClean = () => suite.assertClean(podId);

const fails = () => Promise.reject(new CoracleError('ResourceExhausted', 'injected'));
const gone = () => new CoracleError('Cancelled', 'gone');

function logs(): string {
  const dir = join(runtime.dir, 'logs');
  mkdirSync(dir, { recursive: true });
  return dir;
}

/** A shell that says so for each SIGTERM, and goes on; it is ready when this resolves. */
async function stubborn(name: string): Promise<{ id: string; terms: () => number }> {
  const log = join(logs(), name);
  const script = 'trap "echo term" TERM; echo ready; while :; do sleep 0.02; done';
  const id = await runtime.create(podId, { command: ['sh', '-c', script], logPath: name });
  await startContainer(runtime.ctx, id);
  const lines = () => readFileSync(log, 'utf8').split('\n');
  while (!lines().some((line) => line.endsWith('ready'))) await sleep(5);
  return { id, terms: () => lines().filter((line) => line.endsWith('term')).length };
}

test('SP-6, SP-8: the stop signal is sent once, whoever asks, and a stop that is given up kills nothing', async () => {
  const { ctx } = runtime;
  const { id, terms } = await stubborn('once.log');
  const caller = new AbortController();
  const first = stopContainer(ctx, id, 60_000, caller.signal);
  const second = stopContainer(ctx, id, 60_000, caller.signal);
  while (terms() === 0) await sleep(5);
  caller.abort(gone());
  await Promise.all([first, second].map((one) => assert.rejects(one, { kind: 'Cancelled' })));
  await sleep(100);
  assert.equal(state(id), 'running');
  await stopContainer(ctx, id, 300);
  assert.equal(status(id).exitCode, 137);
  assert.equal(terms(), 1);
  await assertClean();
});

test('SP-6: a stop signal that could not be sent is sent by the next stop', async () => {
  const { ctx } = runtime;
  const { id, terms } = await stubborn('again.log');
  const { connection } = ctx.monitors.get(podId);
  Object.defineProperty(connection, 'signal', { value: fails, configurable: true });
  await assert.rejects(stopContainer(ctx, id, 300), /injected/);
  Reflect.deleteProperty(connection, 'signal');
  assert.equal(state(id), 'running');
  await stopContainer(ctx, id, 300);
  assert.equal(terms(), 1);
  await assertClean();
});

test('SP-9, SP-10: a later stop with less grace ends the wait of the earlier ones', async () => {
  const { ctx } = runtime;
  const { id } = await stubborn('grace.log');
  const begin = performance.now();
  const long = stopContainer(ctx, id, 60_000);
  await stopContainer(ctx, id, 200);
  assert.equal(state(id), 'exited', 'it returns once the exit is recorded');
  await long;
  assert.ok(performance.now() - begin < 10_000);
  assert.equal(status(id).exitCode, 137);
  await assertClean();
});

test('SP-5: the own stop signal, then that of the image, then SIGTERM; without the image, too', async () => {
  const { ctx } = runtime;
  const found = ctx.images.status.bind(ctx.images);
  const script = 'trap "exit 11" USR1; trap "exit 12" USR2; trap "exit 13" TERM; touch /ready; ';
  const endless = ['sh', '-c', `${script} while :; do sleep 0.02; done`];
  const cases: [own: string | undefined, image: string, code: number][] = [
    ['SIGUSR2', 'SIGUSR1', 12],
    [undefined, 'SIGUSR1', 11],
    [undefined, '', 13],
  ];
  for (const [stopSignal, image, code] of cases) {
    ctx.images.status = (name) => {
      const status = found(name);
      return status && { ...status, config: { ...status.config, stopSignal: image } };
    };
    const id = await runtime.create(podId, {
      command: endless,
      ...(stopSignal !== undefined && { stopSignal }),
    });
    Reflect.deleteProperty(ctx.images, 'status');
    await startContainer(ctx, id);
    const ready = join(ctx.options.root, snapshotDir(id), 'upper', 'ready');
    while (!existsSync(ready)) await sleep(5);
    const { image: name } = ctx.containers.get(id).record.config;
    await ctx.images.remove(name);
    assert.equal(ctx.images.status(name), undefined);
    await stopContainer(ctx, id, 10_000);
    assert.equal(status(id).exitCode, code);
    await removeContainer(ctx, id);
    await ctx.images.import(join(runtime.dir, 'layout'));
  }
  await assertClean();
});

test('CR-3: a stop signal of the image that is none fails the creation, and its name is free', async () => {
  const { ctx } = runtime;
  const found = ctx.images.status.bind(ctx.images);
  ctx.images.status = (name) => {
    const status = found(name);
    return status && { ...status, config: { ...status.config, stopSignal: 'SIGNONE' } };
  };
  await assert.rejects(runtime.create(podId, { name: 'same' }), /SIGNONE/);
  Reflect.deleteProperty(ctx.images, 'status');
  await runtime.create(podId, { name: 'same' });
  await assertClean();
});

test('RM-3, RM-7: while a container is being removed it cannot be started, nor removed by another', async () => {
  const { ctx } = runtime;
  const { addon } = ctx;
  const id = await runtime.create(podId);
  const { passed, open } = gate();
  const restore = runtime.replace({
    runFileOps: async (ops) => {
      await passed;
      return addon.runFileOps(ops);
    },
  });
  const removal = removeContainer(ctx, id);
  while (!status(id).removing) await sleep(1);
  await assert.rejects(removeContainer(ctx, id), {
    kind: 'FailedPrecondition',
    message: /already in removing state/,
  });
  await assert.rejects(startContainer(ctx, id), {
    kind: 'FailedPrecondition',
    message: /removing state/,
  });
  open();
  await removal;
  restore();
  assert.equal(ctx.containers.has(id), false);
  await assertClean();
});

test('RM-4, RM-5: what somebody else has removed already is no error, and the end is told last', async () => {
  const { ctx } = runtime;
  const id = await runtime.create(podId, { command: ['true'] });
  await startContainer(ctx, id);
  await keepAlive(ctx.live.of(id).exited.promise);
  await ctx.monitors.get(podId).connection.delete(id);
  rmSync(join(ctx.options.root, snapshotDir(id)), { recursive: true });
  rmSync(join(exitDir(ctx.options, podId), id), { force: true });
  const { record } = ctx.containers.get(id);
  const told: unknown[] = [];
  const unsubscribe = ctx.events.subscribe(({ type }) => {
    told.push([type, ctx.containers.has(id), ctx.containerNames.holder(record.name)]);
  });
  await removeContainer(ctx, id);
  unsubscribe();
  assert.deepEqual(told, [['deleted', false, undefined]]);
  await assertClean();
});

test('EX-13: the exit of a container that has been removed is told to nobody, and brings nothing back', async () => {
  const { ctx } = runtime;
  const id = await runtime.create(podId);
  const container = ctx.containers.get(id);
  await removeContainer(ctx, id);
  const told: string[] = [];
  const unsubscribe = ctx.events.subscribe(({ type }) => void told.push(type));
  await recordExit(ctx, container, { exitCode: 3, finishedAt: 1n << 62n, reason: 'Error' });
  unsubscribe();
  assert.deepEqual(told, []);
  assert.equal(ctx.containers.has(id), false);
  await runtime.reopen();
  assert.equal(runtime.ctx.containers.has(id), false);
  await assertClean();
});

test('SB-5, SB-8, G-13: a pod whose last commit fails leaves nothing, and nothing of it is ready', async () => {
  const { ctx } = runtime;
  const add = ctx.sandboxes.add.bind(ctx.sandboxes);
  const states: string[] = [];
  ctx.sandboxes.add = async (record) => {
    const sandbox = await add(record);
    sandbox.ready = async () => {
      states.push(sandbox.state);
      return fails();
    };
    return sandbox;
  };
  const config = podConfig();
  await assert.rejects(runtime.pod(config), /injected/);
  Reflect.deleteProperty(ctx.sandboxes, 'add');
  assert.deepEqual(states, ['notReady']);
  assert.equal(ctx.sandboxes.list().length, 1);
  await removeSandbox(ctx, await runtime.pod(config));
  await assertClean();
});

test('SB-4, SB-10: a pod whose monitor does not end is kept, to be removed again', async () => {
  const { ctx } = runtime;
  const { pid } = ctx.monitors.get(podId).connection;
  process.kill(pid, 'SIGSTOP');
  const restore = runtime.replace({ killProcess: () => {} });
  const before = ctx.sandboxes.get(podId).record.name;
  await assert.rejects(removeSandbox(ctx, podId), {
    kind: 'Unavailable',
    message: /does not end/,
  });
  restore();
  assert.equal(ctx.sandboxNames.holder(before), podId);
  assert.equal(existsSync(exitDir(ctx.options, podId)), true);
  process.kill(pid, 'SIGCONT');
  await assertClean();
});
