/** The same request twice: together, after a deadline, after the death of the server (CR-18). */
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { CoracleError } from '../../src/errors.ts';
import { removeContainer } from '../../src/runtime/remove.ts';
import { removeSandbox } from '../../src/runtime/remove-sandbox.ts';
import { startContainer } from '../../src/runtime/start.ts';
import { stopSandbox } from '../../src/runtime/stop-sandbox.ts';
import type { ContainerConfig } from '../../src/spec/config.ts';
import { containerConfig, gate, podConfig } from '../helpers/direct-runtime.ts';
import { directSuite } from '../helpers/direct-suite.ts';

const suite = directSuite();
const { runtime } = suite;
let podId: string;

beforeEach(async () => {
  podId = await runtime.pod();
});

const assertClean = () => suite.assertClean(podId);

const reserved = { kind: 'AlreadyExists', reason: 'NameReserved' };
const late = () => new CoracleError('DeadlineExceeded', 'late');
const gone = () => new CoracleError('Cancelled', 'gone');

/** Keeps every monitor from making its pod until `open` is called. */
function heldPods(): { begun: Promise<void>; open: () => void; restore: () => void } {
  const { addon } = runtime.ctx;
  const [held, begun] = [gate(), gate()];
  const restore = runtime.replace({
    startMonitor: (spawn) => {
      const connection = addon.startMonitor(spawn);
      const make = connection.sandbox.bind(connection);
      const value = async (...args: Parameters<typeof make>) => {
        begun.open();
        await held.passed;
        return make(...args);
      };
      return Object.defineProperty(connection, 'sandbox', { value });
    },
  });
  return { begun: begun.passed, open: held.open, restore };
}

/** Creates it for a caller who does not stay; returns when it is made, or undone. */
async function createWithoutCaller(
  config: ContainerConfig,
  kind: 'Cancelled' | 'DeadlineExceeded',
): Promise<void> {
  const { open, restore } = runtime.heldFileOps();
  const caller = new AbortController();
  const call = runtime.create(podId, config, caller.signal);
  caller.abort(kind === 'Cancelled' ? gone() : late());
  await assert.rejects(call, { kind });
  open();
  await runtime.ctx.creations.drained(podId);
  restore();
}

test('CR-18: an identical create joins the one under way, another is refused', async () => {
  const { open, restore } = runtime.heldFileOps();
  const config = containerConfig({ name: 'joined' });
  const first = new AbortController();
  const calls = [
    runtime.create(podId, config, first.signal),
    runtime.create(podId, structuredClone(config)),
    runtime.create(podId, structuredClone(config)),
  ];
  await assert.rejects(runtime.create(podId, { ...config, command: ['other'] }), reserved);
  first.abort(late());
  await assert.rejects(calls[0] ?? Promise.resolve(), { kind: 'DeadlineExceeded' });
  open();
  const [, second, third] = await Promise.allSettled(calls);
  assert.deepEqual(second, third);
  assert.equal(runtime.ctx.containers.list().length, 1);
  restore();
  await assertClean();
});

test('CR-18: a container whose creators have all gone is undone, and can be made again', async () => {
  const config = containerConfig();
  await createWithoutCaller(config, 'Cancelled');
  assert.deepEqual(runtime.ctx.containers.list(), []);
  await runtime.create(podId, config);
  await assertClean();
});

test('CR-18: a container whose creator was late is kept for the retry, however often', async () => {
  const config = containerConfig();
  await createWithoutCaller(config, 'DeadlineExceeded');
  const [made] = runtime.ctx.containers.list();
  assert.ok(made);
  assert.equal(await runtime.create(podId, structuredClone(config)), made.record.id);
  assert.equal(await runtime.create(podId, structuredClone(config)), made.record.id);
  await startContainer(runtime.ctx, made.record.id);
  await assertClean();
});

test('CR-18: after a crash the retry of a create gets its id, until it is started', async () => {
  const resources = { cpuShares: 256, memoryLimit: 64 * 1024 * 1024 };
  const config = containerConfig({ env: [['A', 'b']], resources, labels: { x: 'y' } });
  const id = await runtime.create(podId, config);
  await runtime.reopen();
  assert.equal(await runtime.create(podId, structuredClone(config)), id);
  await assert.rejects(runtime.create(podId, { ...config, env: [['A', 'c']] }), {
    ...reserved,
    message: new RegExp(id),
  });
  await startContainer(runtime.ctx, id);
  await assert.rejects(runtime.create(podId, config), reserved);
  await removeContainer(runtime.ctx, id);
  assert.notEqual(await runtime.create(podId, config), id);
  await assertClean();
});

test('CR-18: calls for one pod at once make one pod, another is refused', async () => {
  const { begun, open, restore } = heldPods();
  const config = podConfig();
  const first = new AbortController();
  const calls = [
    runtime.pod(config, first.signal),
    runtime.pod(structuredClone(config)),
    runtime.pod(structuredClone(config)),
  ];
  await begun;
  await assert.rejects(runtime.pod({ ...config, labels: { other: 'one' } }), reserved);
  first.abort(gone());
  await assert.rejects(calls[0] ?? Promise.resolve(), { kind: 'Cancelled' });
  open();
  const [second, third] = await Promise.all(calls.slice(1));
  assert.equal(second, third);
  restore();
  await removeSandbox(runtime.ctx, second ?? '');
  await assertClean();
});

test('CR-18: a pod that nobody waits for any more is undone, or kept for who was late', async () => {
  const config = podConfig();
  for (const error of [gone(), late()]) {
    const { begun, open, restore } = heldPods();
    const caller = new AbortController();
    const call = runtime.pod(config, caller.signal);
    await begun;
    caller.abort(error);
    open();
    await assert.rejects(call, { kind: error.kind });
    await runtime.ctx.creations.drained();
    restore();
    const left = runtime.ctx.sandboxes.list().filter(({ record }) => record.id !== podId);
    assert.equal(left.length, error.kind === 'Cancelled' ? 0 : 1);
    const id = await runtime.pod(structuredClone(config));
    if (left[0]) assert.equal(id, left[0].record.id);
    await removeSandbox(runtime.ctx, id);
  }
  await assertClean();
});

test('CR-18: after a crash the retry of a pod gets its id, until it is used or stopped', async () => {
  const config = podConfig({ annotations: { a: 'b' } });
  const id = await runtime.pod(config);
  await runtime.reopen();
  assert.equal(await runtime.pod(structuredClone(config)), id);
  await assert.rejects(runtime.pod({ ...config, annotations: {} }), reserved);
  const member = await runtime.create(id);
  await assert.rejects(runtime.pod(config), reserved);
  await removeContainer(runtime.ctx, member);
  assert.equal(await runtime.pod(config), id);
  await stopSandbox(runtime.ctx, id);
  await assert.rejects(runtime.pod(config), { ...reserved, message: new RegExp(id) });
  await removeSandbox(runtime.ctx, id);
  const again = await runtime.pod(config);
  assert.notEqual(again, id);
  await removeSandbox(runtime.ctx, again);
  await assertClean();
});

test('CR-4: a create whose undoing fails, too, holds no name, and leaves nothing for long', async () => {
  const { addon } = runtime.ctx;
  const full = Object.assign(new Error('no space'), { code: 'ENOSPC', errno: -28 });
  let made = false;
  const restore = runtime.replace({
    runFileOps: async (ops) => {
      if (made) throw full;
      made = true;
      await addon.runFileOps(ops);
      throw full;
    },
  });
  const config = containerConfig({ name: 'undone' });
  await assert.rejects(runtime.create(podId, config), /no space/);
  restore();
  const left = await suite.leaks(0);
  assert.ok((left.cgroups?.length ?? 0) > 0, 'the failed undoing left its cgroup');
  const id = await runtime.create(podId, config);
  await removeContainer(runtime.ctx, id);
  await assertClean();
});
