/** A server that ends, politely, in the middle of something. */
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { closeRuntime } from '../../src/runtime/open.ts';
import { startContainer } from '../../src/runtime/start.ts';
import type { ContainerIo } from '../../src/runtime/stdio.ts';
import { stateOf } from '../../src/store/container-status.ts';
import { gate } from '../helpers/direct-runtime.ts';
import { directSuite } from '../helpers/direct-suite.ts';

const suite = directSuite();
const { runtime, status, state } = suite;
let podId: string;

beforeEach(async () => {
  podId = await runtime.pod();
});

const assertClean = () => suite.assertClean(podId);

test('ST-25: a start that is under way when its server ends comes to its end', async () => {
  const { ctx } = runtime;
  const id = await runtime.create(podId);
  const created = await runtime.create(podId);
  const { connection } = ctx.monitors.get(podId);
  const [held, begun] = [gate(), gate()];
  const start = connection.start.bind(connection);
  Object.defineProperty(connection, 'start', {
    value: async (name: string) => {
      begun.open();
      await held.passed;
      return start(name);
    },
  });
  const starting = startContainer(ctx, id);
  await begun.passed;
  const closing = closeRuntime(ctx);
  const unavailable = { kind: 'Unavailable' };
  await assert.rejects(startContainer(ctx, created), unavailable);
  await assert.rejects(runtime.create(podId), unavailable);
  await assert.rejects(runtime.pod(), unavailable);
  held.open();
  await starting;
  await closing;
  assert.equal(stateOf(ctx.containers.get(id).status.get()), 'running');
  await runtime.open();
  assert.equal(state(id), 'running');
  assert.equal(state(created), 'created');
  await assertClean();
});

test('ST-25: a start that is not over when its server ends is no failed one', async () => {
  // Launched or not, woken or not: the monitor gets to its request when nobody waits any more.
  for (const [held, expected] of [
    ['launch', 'created'],
    ['start', 'running'],
  ] as const) {
    const { ctx } = runtime;
    const id = await runtime.create(podId);
    const { pid } = ctx.monitors.get(podId).connection;
    const stop = () => process.kill(pid, 'SIGSTOP');
    if (held === 'launch') stop();
    const io: ContainerIo = { stdio: [{ type: 'null' }, { type: 'null' }, { type: 'null' }] };
    const parked = async () => void stop();
    const starting = startContainer(ctx, id, held === 'start' ? { ...io, parked } : io);
    const failed = assert.rejects(starting, { kind: 'Unavailable' });
    await closeRuntime(ctx, 100);
    await failed;
    process.kill(pid, 'SIGCONT');
    await runtime.open();
    const { exitCode, reason } = status(id);
    assert.deepEqual([state(id), exitCode, reason], [expected, 0, '']);
    if (expected === 'created') await startContainer(runtime.ctx, id);
    assert.equal(state(id), 'running');
  }
  await assertClean();
});

test('SB-2: a pod that is not made when its server ends is undone', async () => {
  const { ctx } = runtime;
  const { addon } = ctx;
  const { passed, open } = gate();
  runtime.replace({
    startMonitor: (spawn) => {
      const connection = addon.startMonitor(spawn);
      process.kill(connection.pid, 'SIGSTOP');
      open();
      setTimeout(() => process.kill(connection.pid, 'SIGCONT'), 500).unref();
      return connection;
    },
  });
  const failed = assert.rejects(runtime.pod(), { kind: 'Unavailable' });
  await passed;
  await closeRuntime(ctx, 100);
  await failed;
  await runtime.open();
  assert.deepEqual(
    runtime.ctx.sandboxes.list().map(({ record }) => record.id),
    [podId],
  );
  await assertClean();
});
