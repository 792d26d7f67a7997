/** All verbs on the same pods at random moments: whatever they answer, nothing is left. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { CoracleError } from '../../src/errors.ts';
import { execSync } from '../../src/runtime/exec-sync.ts';
import { removeContainer } from '../../src/runtime/remove.ts';
import { removeSandbox } from '../../src/runtime/remove-sandbox.ts';
import { startContainer } from '../../src/runtime/start.ts';
import { stopContainer } from '../../src/runtime/stop.ts';
import { stopSandbox } from '../../src/runtime/stop-sandbox.ts';
import { DirectRuntime } from '../helpers/direct-runtime.ts';
import { type Snapshot, settledLeaks, snapshot } from '../helpers/leaks.ts';

const ROUNDS = Number(process.env.CORACLE_CHAOS ?? 40);

let runtime: DirectRuntime;
let clean: Snapshot;

const dirs = () => [join(runtime.dir, 'state'), join(runtime.dir, 'root', 'containers')];
const look = () => ({ dirs: dirs(), pid: process.pid });

before(async () => {
  runtime = await DirectRuntime.open();
  await removeSandbox(runtime.ctx, await runtime.pod());
  clean = snapshot(look());
});

after(() => runtime.close());

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const moment = (ms: number) => pause(Math.random() * ms);

/** A refusal is an answer; anything that is no CoracleError, or an own fault, is not. */
async function answered(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    assert.ok(error instanceof CoracleError, `${error}`);
    assert.notEqual(error.kind, 'Internal', error.message);
  }
}

/** Fires now and then. */
function patience(): AbortSignal | undefined {
  if (Math.random() < 0.7) return undefined;
  const controller = new AbortController();
  const gone = new CoracleError('Cancelled', 'the caller has gone');
  setTimeout(() => controller.abort(gone), Math.random() * 20);
  return controller.signal;
}

async function assertClean(): Promise<void> {
  const { ctx } = runtime;
  for (const { record } of ctx.sandboxes.list()) await removeSandbox(ctx, record.id);
  assert.deepEqual(ctx.containers.list(), []);
  assert.deepEqual(await settledLeaks(clean, look()), {});
}

test('SB-2, SB-11: pods that are removed while they are made', async () => {
  for (let round = 0; round < ROUNDS; round += 1) {
    const made = answered(runtime.pod({}, patience()));
    await moment(15);
    const pods = runtime.ctx.sandboxes.list();
    const verb = Math.random() < 0.5 ? stopSandbox : removeSandbox;
    await Promise.all(pods.map(({ record }) => answered(verb(runtime.ctx, record.id, patience()))));
    await made;
  }
  await assertClean();
});

test('ST-3, EX-13, SB-10: creates, starts, execs, stops and removals of containers and pods', () =>
  live(() => {}));

test('EX-4, EX-15, SB-13: the same, while monitors die', () =>
  live((pod) => {
    const monitor = runtime.ctx.monitors.find(pod);
    if (monitor) process.kill(monitor.connection.pid, 'SIGKILL');
  }));

/** Pods whose containers live in short; `mishap` happens to each at some moment. */
async function live(mishap: (pod: string) => void): Promise<void> {
  const { ctx } = runtime;
  for (let round = 0; round < ROUNDS; round += 1) {
    const pod = await runtime.pod();
    const lives = Array.from({ length: 4 }, async () => {
      const command = Math.random() < 0.3 ? ['/bin/true'] : ['sleep', '1000'];
      const id = await runtime.create(pod, { command }, patience()).catch(() => undefined);
      if (id === undefined) return;
      const calls = [
        () => startContainer(ctx, id),
        () => startContainer(ctx, id),
        () => execSync(ctx, id, ['/bin/true'], { timeoutMs: 1000 }),
        () => stopContainer(ctx, id, Math.random() * 30, patience()),
        () => removeContainer(ctx, id, patience()),
      ];
      for (const call of calls) {
        void answered(call());
        await moment(10);
      }
    });
    const accident = moment(60).then(() => mishap(pod));
    const end = async (verb: typeof stopSandbox) => {
      await moment(60);
      await answered(verb(ctx, pod, patience()));
    };
    await Promise.all([
      ...lives,
      accident,
      end(stopSandbox),
      end(removeSandbox),
      end(removeSandbox),
    ]);
    await answered(removeSandbox(ctx, pod));
  }
  await assertClean();
}
