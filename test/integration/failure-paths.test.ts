/** Verbs that fail half-way, are cancelled, or meet each other at the worst moment. */
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CoracleError } from '../../src/errors.ts';
import type { NativeError } from '../../src/native/types.ts';
import { keepAlive } from '../../src/runtime/deferred.ts';
import { execSync } from '../../src/runtime/exec-sync.ts';
import { preparedRun } from '../../src/runtime/prepare.ts';
import { releaseContainer } from '../../src/runtime/release-container.ts';
import { removeContainer } from '../../src/runtime/remove.ts';
import { removeSandbox } from '../../src/runtime/remove-sandbox.ts';
import { startContainer } from '../../src/runtime/start.ts';
import { stopContainer } from '../../src/runtime/stop.ts';
import { stopSandbox } from '../../src/runtime/stop-sandbox.ts';
import { containerConfig, podConfig } from '../helpers/direct-runtime.ts';
import { directSuite } from '../helpers/direct-suite.ts';

const suite = directSuite();
const { runtime, state } = suite;
let podId: string;

beforeEach(async () => {
  podId = await runtime.pod();
});

const assertClean = () => suite.assertClean(podId);

/** Skips a test that has a pod, which the next one is not to find. */
async function skipClean(t: TestContext, reason: string): Promise<void> {
  await assertClean();
  t.skip(reason);
}

const fails = () => Promise.reject(new CoracleError('ResourceExhausted', 'injected'));
/** Those that hold the event loop; one of somebody else's may end meanwhile. */
const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;

async function running(): Promise<string> {
  const id = await runtime.create(podId);
  await startContainer(runtime.ctx, id);
  return id;
}

test('ST-7: failed starts leave no pipe, process, cgroup or file', async () => {
  for (let turn = 0; turn < 20; turn += 1) {
    const id = await runtime.create(podId, { command: ['/no/such'] });
    const stdio = [{ type: 'pipe' }, { type: 'pipe' }, { type: 'pipe' }] as const;
    await assert.rejects(startContainer(runtime.ctx, id, { stdio: [...stdio] }), /no such file/);
    assert.equal(state(id), 'exited');
    await removeContainer(runtime.ctx, id);
  }
  await assertClean();
});

test('ST-14: a start whose commit fails kills the process and is EXITED, 128', async () => {
  const id = await runtime.create(podId);
  const { status } = runtime.ctx.containers.get(id);
  status.updateSync = fails;
  await assert.rejects(startContainer(runtime.ctx, id), /injected/);
  const { exitCode, reason, message, starting } = status.get();
  assert.deepEqual(
    { exitCode, reason, message, starting },
    { exitCode: 128, reason: 'StartError', message: 'injected', starting: false },
  );
  assert.deepEqual(await runtime.ctx.monitors.get(podId).connection.state(), []);
  await assertClean();
});

test('G-4: whoever hears that a failed start is over can remove the container at once', async () => {
  const id = await runtime.create(podId, { command: ['/no/such'] });
  let removal: Promise<void> | undefined;
  const unsubscribe = runtime.ctx.events.subscribe(({ type }) => {
    if (type === 'stopped') removal = removeContainer(runtime.ctx, id);
  });
  const { exited } = runtime.ctx.live.of(id);
  await assert.rejects(startContainer(runtime.ctx, id));
  await exited.promise;
  unsubscribe();
  await removal;
  assert.ok(removal);
  assert.equal(runtime.ctx.containers.has(id), false);
  await assertClean();
});

test('XS-5: a command over its time leaves no timer that keeps the program alive', async () => {
  const id = await running();
  const before = timers();
  const late = execSync(runtime.ctx, id, ['sleep', '1000'], { timeoutMs: 50 });
  await assert.rejects(late, { kind: 'DeadlineExceeded' });
  assert.ok(timers() <= before);
  const controller = new AbortController();
  const cancelled = execSync(runtime.ctx, id, ['sleep', '1000'], { signal: controller.signal });
  setTimeout(() => controller.abort(new CoracleError('Cancelled', 'gone')), 30);
  await assert.rejects(cancelled, { kind: 'Cancelled' });
  assert.ok(timers() <= before);
  // Nobody waits for the end of a command that was given up.
  const { connection } = runtime.ctx.monitors.get(podId);
  while ((await connection.state()).length > 1) await sleep(5);
  await assertClean();
});

test('XS-5: an exec is answered when its container is killed', async () => {
  const id = await running();
  const exec = execSync(runtime.ctx, id, ['sleep', '1000']);
  setTimeout(() => void stopContainer(runtime.ctx, id, 0), 30);
  assert.equal((await exec).exitCode, 137);
  await assertClean();
});

/** Whatever is started in the container's cgroup stands still; it can be killed, though. */
function freeze(id: string): boolean {
  const { ctx } = runtime;
  const root = ctx.cgroups.v2?.root;
  const file = join(root ?? '', ctx.containers.get(id).record.cgroupPath, 'cgroup.freeze');
  if (!root || !existsSync(file)) return false;
  writeFileSync(file, '1');
  return true;
}

test('XS-5: a command that hangs before it runs is given up in time', async (t) => {
  const id = await running();
  if (!freeze(id)) return skipClean(t, 'needs cgroup v2');
  const late = execSync(runtime.ctx, id, ['true'], { timeoutMs: 100 });
  await assert.rejects(late, { kind: 'DeadlineExceeded' });
  const gone = AbortSignal.timeout(100);
  await assert.rejects(execSync(runtime.ctx, id, ['true'], { signal: gone }), {
    kind: 'DeadlineExceeded',
  });
  const end = Date.now() + 5000;
  const { connection } = runtime.ctx.monitors.get(podId);
  while ((await connection.state()).length > 1 && Date.now() < end) await connection.hello();
  assert.equal((await connection.state()).length, 1);
  await assertClean();
});

test('XS-2: output that comes byte by byte is kept whole', async () => {
  const id = await running();
  const command = ['dd', 'if=/dev/zero', 'bs=1', 'count=20000'];
  const { stdout } = await execSync(runtime.ctx, id, command);
  assert.deepEqual(stdout, Buffer.alloc(20_000));
  await assertClean();
});

test('XS-2, XS-5, XS-6: commands run in the pod of an older monitor, too', async () => {
  const id = await running();
  const monitor = runtime.ctx.monitors.get(podId);
  const run = (command: string, timeoutMs: number) =>
    execSync(runtime.ctx, id, ['sh', '-c', command], { timeoutMs });
  monitor.runs = false;
  try {
    const { stdout, stderr, exitCode } = await run('echo out; echo err >&2; exit 3', 5000);
    assert.deepEqual([`${stdout}`, `${stderr}`, exitCode], ['out\n', 'err\n', 3]);
    await assert.rejects(run('sleep 1000', 50), { kind: 'DeadlineExceeded' });
    assert.equal(`${(await run('echo out; sleep 1000 & exit 3', 400)).stdout}`, 'out\n');
  } finally {
    monitor.runs = true;
  }
  await assertClean();
});

test('commands enter a container that was launched when the host had other cgroups', async (t) => {
  const { ctx } = runtime;
  if (ctx.cgroups.v1.length < 2) return skipClean(t, 'needs hierarchies of cgroup v1');
  const id = await running();
  const monitor = ctx.monitors.get(podId);
  const v1 = ctx.cgroups.v1.slice(1);
  // As after a restart of the server.
  const now = { ...ctx, cgroups: { ...ctx.cgroups, v1 } };
  const { code, step } = await preparedRun(now, ctx.containers.get(id).record)
    .then((plan) => monitor.connection.run(plan, { id: 'e', argv: ['true'], maxOutput: 0 }))
    .then(
      () => ({ code: '', step: '' }),
      (error: NativeError) => error,
    );
  assert.deepEqual([code, step], ['ESTALE', 'join cgroup']);
  const { stdout, exitCode } = await execSync(now, id, ['echo', 'out']);
  assert.deepEqual([`${stdout}`, exitCode], ['out\n', 0]);
  await assertClean();
});

test('XS-7: a call that is given up before it begins runs nothing', async () => {
  const id = await running();
  const signal = AbortSignal.abort(new CoracleError('Cancelled', 'gone'));
  const call = execSync(runtime.ctx, id, ['touch', '/ran'], { signal });
  await assert.rejects(call, { kind: 'Cancelled' });
  assert.equal((await execSync(runtime.ctx, id, ['test', '-e', '/ran'])).exitCode, 1);
  await assertClean();
});

test('XS-6: what a background process writes soon is waited for', async () => {
  const id = await running();
  const command = 'echo out; (sleep 0.2; echo late; echo err >&2) & exit 3';
  const { stdout, stderr, exitCode } = await execSync(runtime.ctx, id, ['sh', '-c', command]);
  assert.deepEqual([`${stdout}`, `${stderr}`, exitCode], ['out\nlate\n', 'err\n', 3]);
  await assertClean();
});

test('XS-6: a deadline ends the wait for output that a background process holds open', async () => {
  const id = await running();
  const command = ['sh', '-c', 'echo out; sleep 1000 & exit 3'];
  const begin = performance.now();
  const { stdout, exitCode } = await execSync(runtime.ctx, id, command, { timeoutMs: 400 });
  assert.deepEqual([stdout.toString(), exitCode], ['out\n', 3]);
  assert.ok(performance.now() - begin < 3000);
  await assertClean();
});

test('G-2, G-3: a start that hangs is broken off when its pod is stopped', async (t) => {
  const id = await runtime.create(podId);
  if (!freeze(id)) return skipClean(t, 'needs cgroup v2');
  const start = startContainer(runtime.ctx, id);
  await Promise.all([
    assert.rejects(start, { kind: 'FailedPrecondition' }),
    stopSandbox(runtime.ctx, podId, AbortSignal.timeout(20_000)),
  ]);
  assert.equal(runtime.ctx.containers.get(id).status.get().exitCode, 128);
  await assertClean();
});

test('SP-12: a container in UNKNOWN state is stopped, with its exit code where there is one', async () => {
  const { ctx } = runtime;
  const created = await runtime.create(podId);
  const runs = await running();
  // Nobody watches it any more.
  ctx.monitors.get(podId).disarm(runs);
  for (const id of [created, runs]) {
    const { status } = ctx.containers.get(id);
    status.update((was) => ({ ...was, unknown: true }));
    await stopContainer(ctx, id, 0, AbortSignal.timeout(5000));
    assert.equal(state(id), 'exited');
    assert.equal(status.get().exitCode, id === runs ? 137 : 255);
  }
  await assertClean();
});

test('RM-2, SP-4: containers in UNKNOWN state whose monitor is gone are removed', async () => {
  const { ctx } = runtime;
  const id = await running();
  const monitor = ctx.monitors.get(podId);
  monitor.disarm(id);
  ctx.containers.get(id).status.update((was) => ({ ...was, unknown: true }));
  process.kill(monitor.connection.pid, 'SIGKILL');
  await keepAlive(monitor.closed);
  await removeContainer(ctx, id, AbortSignal.timeout(5000));
  await assertClean();
});

test('SP-2: a stop while the monitor dies returns once the exit is recorded', async () => {
  const id = await running();
  process.kill(runtime.ctx.monitors.get(podId).connection.pid, 'SIGKILL');
  await stopContainer(runtime.ctx, id, 5000, AbortSignal.timeout(5000));
  assert.equal(state(id), 'exited');
  await assertClean();
});

test('SP-8: a stop that was cancelled before it began kills nothing', async () => {
  const id = await running();
  const gone = AbortSignal.abort(new CoracleError('Cancelled', 'gone'));
  await assert.rejects(stopContainer(runtime.ctx, id, 0, gone), { kind: 'Cancelled' });
  assert.equal(state(id), 'running');
  await assertClean();
});

test('RM-1: whoever waits for a container that is removed is told so', async () => {
  const id = await runtime.create(podId);
  const { exited } = runtime.ctx.live.of(id);
  await removeContainer(runtime.ctx, id);
  await assert.rejects(exited.promise, { kind: 'NotFound' });
  await assertClean();
});

test('RM-6: a removal that fails half-way is finished by the next one, and announced once', async () => {
  const { ctx } = runtime;
  const { addon, network } = ctx;
  const id = await running();
  const events: string[] = [];
  const unsubscribe = ctx.events.subscribe(({ type }) => events.push(type));
  const restore = runtime.replace({
    runFileOps: async (ops) => {
      await addon.runFileOps(ops.slice(0, -1));
      return fails();
    },
  });
  await assert.rejects(removeContainer(ctx, id), /injected/);
  await assert.rejects(removeSandbox(ctx, podId), /injected/);
  restore();
  assert.equal(ctx.containers.get(id).status.get().removing, false);
  network.detach = fails;
  await assert.rejects(removeSandbox(ctx, podId), /injected/);
  Reflect.deleteProperty(network, 'detach');
  await removeSandbox(ctx, podId);
  unsubscribe();
  assert.deepEqual(events, ['stopped', 'deleted']);
  await assertClean();
});

test('a removal whose caller has gone rejects nothing that nobody hears', async () => {
  const gone = AbortSignal.abort(new CoracleError('Cancelled', 'gone'));
  await assert.rejects(removeSandbox(runtime.ctx, podId, gone), { kind: 'Cancelled' });
  const { network } = runtime.ctx;
  network.detach = fails;
  const later = new AbortController();
  const removal = removeSandbox(runtime.ctx, podId, later.signal);
  later.abort(new CoracleError('Cancelled', 'gone'));
  await assert.rejects(removal, { kind: 'Cancelled' });
  await runtime.ctx.sandboxes.get(podId).removal?.catch(() => {});
  Reflect.deleteProperty(network, 'detach');
  await assertClean();
});

test('CR-4 to CR-14: a create that fails at any step can be tried again, and leaves nothing', async () => {
  const config = { name: 'same', command: ['/bin/true'] };
  const { ctx } = runtime;
  const { addon } = ctx;
  for (const half of [0, 1]) {
    let calls = 0;
    const restore = runtime.replace({
      // The first call prepares; those after it undo.
      runFileOps: async (ops) => {
        calls += 1;
        if (calls > 1) return addon.runFileOps(ops);
        await addon.runFileOps(ops.slice(0, ops.length * half));
        return fails();
      },
    });
    await assert.rejects(runtime.create(podId, config), /injected/);
    restore();
  }
  await assert.rejects(runtime.create(podId, { ...config, image: 'no:such' }), {
    kind: 'NotFound',
  });
  const bad = { ...config, devices: [{ containerPath: '/x', hostPath: '/no', permissions: 'r' }] };
  await assert.rejects(runtime.create(podId, bad), /devices/);
  const add = ctx.containers.add.bind(ctx.containers);
  ctx.containers.add = fails;
  await assert.rejects(runtime.create(podId, config), /injected/);
  ctx.containers.add = add;
  const id = await runtime.create(podId, config);
  await removeContainer(ctx, id);
  // None of them holds the image any more, whose layers go with it.
  const [image] = ctx.images.list();
  const layers = ctx.images.layersOf(image?.id ?? '').map((dir) => join(ctx.options.root, dir));
  await ctx.images.remove(image?.id ?? '');
  assert.deepEqual(layers.filter(existsSync), []);
  await ctx.images.import(join(runtime.dir, 'layout'));
  await assertClean();
});

test('SS-13: a second release of a container does not free the name of its successor', async () => {
  const { ctx } = runtime;
  const config = containerConfig();
  const id = await runtime.create(podId, config);
  const { record } = ctx.containers.get(id);
  await removeContainer(ctx, id);
  const successor = await runtime.create(podId, config);
  await releaseContainer(ctx, record);
  assert.equal(ctx.containerNames.holder(ctx.containers.get(successor).record.name), successor);
  await assertClean();
});

test('CR-16: a target may be named by the beginning of its id', async () => {
  const target = await running();
  const security = { pid: 'target', targetId: target.slice(0, 12) } as const;
  const id = await runtime.create(podId, { security, command: ['/bin/true'] });
  await startContainer(runtime.ctx, id);
  await assertClean();
});

test('SB-11: a pod that is removed while a container is being created leaves nothing', async () => {
  const { open, restore } = runtime.heldFileOps();
  const create = runtime.create(podId);
  const removal = removeSandbox(runtime.ctx, podId);
  setTimeout(open, 50);
  await assert.rejects(create, { kind: 'FailedPrecondition' });
  await removal;
  restore();
  await assertClean();
});

test('SB-10, RM-7: removals of a pod and of its containers at once all leave it removed', async () => {
  const ids = await Promise.all([running(), running(), runtime.create(podId)]);
  const members = ids.map((id) => removeContainer(runtime.ctx, id).catch(() => {}));
  const pods = [1, 2, 3].map(() => removeSandbox(runtime.ctx, podId));
  await Promise.all([...members, ...pods]);
  await assertClean();
});

test('SB-9: a stop that is cancelled can be repeated, and keeps the gate of another one', async () => {
  const id = await running();
  const sandbox = runtime.ctx.sandboxes.get(podId);
  const gone = new AbortController();
  const cancelled = stopSandbox(runtime.ctx, podId, gone.signal);
  const whole = stopSandbox(runtime.ctx, podId);
  gone.abort(new CoracleError('Cancelled', 'gone'));
  await assert.rejects(cancelled, { kind: 'Cancelled' });
  assert.equal(sandbox.stopping || sandbox.state === 'notReady', true);
  await assert.rejects(runtime.create(podId), { kind: 'FailedPrecondition' });
  await whole;
  assert.equal(sandbox.stopping, false);
  assert.equal(sandbox.state, 'notReady');
  assert.equal(state(id), 'exited');
  await assertClean();
});

test('SB-1 to SB-5: a pod that fails at any step leaves nothing, and its name is free', async () => {
  const config = podConfig({ namespaces: { network: 'pod' } });
  const { ctx } = runtime;
  const { addon, network } = ctx;
  const restore = runtime.replace({
    startMonitor: () => {
      throw new CoracleError('Internal', 'injected');
    },
  });
  await assert.rejects(runtime.pod(config), /injected/);
  restore();
  for (const verb of ['sandbox', 'socket'] as const) {
    const undo = runtime.replace({
      startMonitor: (spawn) =>
        Object.defineProperty(addon.startMonitor(spawn), verb, { value: fails }),
    });
    await assert.rejects(runtime.pod(config), /injected/);
    undo();
  }
  const gone = new AbortController();
  network.attach = async () => {
    gone.abort(new CoracleError('Cancelled', 'gone'));
    return { ips: [], interfaceName: '', mac: '', gateway: '' };
  };
  await assert.rejects(runtime.pod(config, gone.signal), { kind: 'Cancelled' });
  Reflect.deleteProperty(network, 'attach');
  const detach = network.detach.bind(network);
  network.detach = fails;
  network.attach = fails;
  await assert.rejects(runtime.pod(config), /injected/);
  // What could not be undone stays, to be removed by its id, or by the next one of its name.
  const others = () => ctx.sandboxes.list().filter(({ record }) => record.id !== podId);
  const [left] = others();
  assert.equal(left?.state, 'notReady');
  await assert.rejects(runtime.pod(config), /injected/);
  assert.deepEqual(others(), [left]);
  network.detach = detach;
  Reflect.deleteProperty(network, 'attach');
  const made = await runtime.pod(config);
  assert.deepEqual(
    others().map(({ record }) => record.id),
    [made],
  );
  await removeSandbox(ctx, made);
  assert.equal(existsSync(join(ctx.options.state, 'pods', left?.record.id ?? '')), false);
  await assertClean();
});
