/** The decision table of the recovery, row by row (docs/guarantees.md, RC-9 and on). */
import assert from 'node:assert/strict';
import { rmdirSync } from 'node:fs';
import { beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { addon } from '../../src/native/addon.ts';
import type { MonitorConnection } from '../../src/native/types.ts';
import { cgroupDirs } from '../../src/runtime/cgroup/index.ts';
import { keepAlive } from '../../src/runtime/deferred.ts';
import { monitorSocket } from '../../src/runtime/paths.ts';
import { removeContainer } from '../../src/runtime/remove.ts';
import { removeSandbox } from '../../src/runtime/remove-sandbox.ts';
import { startContainer } from '../../src/runtime/start.ts';
import { logStdio } from '../../src/runtime/stdio.ts';
import { stopContainer } from '../../src/runtime/stop.ts';
import { Cell } from '../../src/store/cell.ts';
import { ended } from '../../src/store/container-status.ts';
import { openStore } from '../../src/store/open.ts';
import { gate, podConfig } from '../helpers/direct-runtime.ts';
import { directSuite } from '../helpers/direct-suite.ts';

const suite = directSuite();
const { runtime, status, state, exited } = suite;
let podId: string;

beforeEach(async () => {
  podId = await runtime.pod();
});

/** After all pods are removed, and containers whose pod is not known any more. */
async function assertClean(): Promise<void> {
  const { ctx } = runtime;
  for (const id of runtime.pods()) await removeSandbox(ctx, id);
  for (const { record } of ctx.containers.list()) {
    await removeContainer(ctx, record.id, AbortSignal.timeout(5000));
  }
  await suite.assertClean();
}

const never = () => new Promise<never>(() => {});

async function entryOf(id: string) {
  const { connection } = runtime.ctx.monitors.get(podId);
  return (await connection.state()).find((entry) => entry.id === id);
}

async function untilEntryIs(id: string, wanted: string): Promise<void> {
  while ((await entryOf(id))?.state !== wanted) await sleep(2);
}

async function running(command = ['sleep', '1000']): Promise<string> {
  const id = await runtime.create(podId, { command });
  await startContainer(runtime.ctx, id);
  return id;
}

/** A container whose start got as far as `execve` before the server died. */
async function parked(command: string[]): Promise<string> {
  const id = await runtime.create(podId, { command });
  const io = logStdio(runtime.ctx, runtime.ctx.containers.get(id).record);
  const { passed, open } = gate();
  const wait = () => {
    open();
    return never();
  };
  void startContainer(runtime.ctx, id, { ...io, parked: wait }).catch(() => {});
  await keepAlive(passed);
  return id;
}

/** A container that was started, whereof the store was not told before the server died. */
async function unrecorded(command: string[], wanted: string): Promise<string> {
  const id = await runtime.create(podId, { command });
  runtime.ctx.containers.get(id).status.updateSync = never;
  void startContainer(runtime.ctx, id).catch(() => {});
  await untilEntryIs(id, wanted);
  return id;
}

/** Speaks to the pod's monitor while no server does. */
async function meanwhile(speak: (connection: MonitorConnection) => Promise<void>): Promise<void> {
  const connection = addon.connectMonitor(monitorSocket(runtime.ctx.options, podId));
  await speak(connection);
  connection.close();
}

/** Damages a row while no server has the store. */
async function damage(table: string, key: string): Promise<void> {
  const store = await openStore(runtime.ctx.options.root);
  await store.table(table).put(key, { nonsense: true });
  await store.close();
}

test('RC-9, RC-11: what the monitor does not know stays CREATED, and can be started, or EXITED', async () => {
  const created = await runtime.create(podId, { command: ['sh', '-c', 'exit 3'] });
  const over = await running(['sh', '-c', 'exit 9']);
  await exited(over);
  const before = status(over);
  await runtime.reopen(() => meanwhile((connection) => connection.delete(over)));
  assert.equal(state(created), 'created');
  assert.deepEqual(status(over), before);
  await exited(over);
  await startContainer(runtime.ctx, created);
  await exited(created);
  assert.equal(status(created).exitCode, 3);
  await assertClean();
});

test('RC-10: what was RUNNING and is unknown to its monitor is EXITED, 255, Unknown', async () => {
  const id = await running();
  const { startedAt } = status(id);
  await runtime.reopen(() => meanwhile((connection) => connection.delete(id)));
  const { exitCode, reason, finishedAt, pid } = status(id);
  assert.deepEqual([state(id), exitCode, reason, pid], ['exited', 255, 'Unknown', 0]);
  assert.ok(finishedAt >= startedAt);
  await assertClean();
});

test('RC-10: after a reboot nothing of a pod runs, and what ran is EXITED', async () => {
  const id = await running();
  const created = await runtime.create(podId);
  await runtime.ctx.sandboxes.get(podId).change((r) => ({ ...r, bootId: 'another boot' }));
  await runtime.reopen();
  assert.equal(runtime.ctx.sandboxes.get(podId).state, 'notReady');
  assert.equal(state(id), 'exited');
  assert.equal(state(created), 'created');
  await assert.rejects(startContainer(runtime.ctx, created), { kind: 'FailedPrecondition' });
  await assertClean();
});

test('RC-12, G-7, ST-4: a start that had run nothing is forgotten, and the next one works', async () => {
  const id = await parked(['sh', '-c', 'exit 5']);
  assert.equal(status(id).starting, true);
  await runtime.reopen();
  assert.equal(state(id), 'created');
  assert.equal(status(id).starting, false);
  assert.equal(await entryOf(id), undefined);
  await startContainer(runtime.ctx, id);
  await exited(id);
  assert.equal(status(id).exitCode, 5);
  await assertClean();
});

test('RC-12: in a shared PID namespace, too, whose containers end by their cgroups', async () => {
  podId = await runtime.pod({ namespaces: { network: 'none', pid: 'pod' } });
  const id = await parked(['sh', '-c', 'exit 5']);
  await runtime.reopen();
  assert.equal(state(id), 'created');
  await startContainer(runtime.ctx, id);
  await exited(id);
  assert.equal(status(id).exitCode, 5);
  await assertClean();
});

test('RC-13: a process that has run nothing contradicts any other record, and is ended', async () => {
  const [ran, over] = [await parked(['sleep', '1000']), await parked(['sleep', '1000'])];
  const { containers } = runtime.ctx;
  const begun = { startedAt: status(ran).createdAt + 1n };
  await containers.get(ran).status.updateSync((s) => ({ ...s, ...begun, pid: 4 }));
  const end = { finishedAt: status(over).createdAt + 2n, exitCode: 3, reason: 'Error' };
  await containers.get(over).status.settle((s) => ended(s, end));
  await runtime.reopen();
  assert.deepEqual([state(ran), status(ran).exitCode], ['exited', 255]);
  assert.deepEqual([state(over), status(over).exitCode], ['exited', 3]);
  for (const id of [ran, over]) assert.equal(await entryOf(id), undefined);
  await assertClean();
});

test('RC-14, RC-7: what runs and is recorded so goes on, with its pid, and is watched', async () => {
  const id = await running();
  const { pid, startedAt } = status(id);
  await runtime.reopen();
  assert.deepEqual([state(id), status(id).pid, status(id).startedAt], ['running', pid, startedAt]);
  await stopContainer(runtime.ctx, id, 0, AbortSignal.timeout(5000));
  assert.equal(status(id).exitCode, 137);
  await assertClean();
});

test('RC-15: what runs and is recorded as CREATED is RUNNING as its monitor has it, and watched', async () => {
  const id = await unrecorded(['sleep', '1000'], 'running');
  const entry = await entryOf(id);
  await runtime.reopen();
  const { pid, startedAt } = status(id);
  assert.deepEqual([state(id), pid, startedAt], ['running', entry?.pid, entry?.startedAt]);
  await stopContainer(runtime.ctx, id, 0, AbortSignal.timeout(5000));
  assert.equal(status(id).exitCode, 137);
  await assertClean();
});

test('RC-16: an end that is recorded stays, and what runs nevertheless is ended', async () => {
  const id = await running();
  const end = { finishedAt: status(id).startedAt + 1n, exitCode: 3, reason: 'Error' };
  await runtime.ctx.containers.get(id).status.settle((s) => ended(s, end));
  await runtime.reopen();
  assert.deepEqual([state(id), status(id).exitCode], ['exited', 3]);
  assert.equal(await entryOf(id), undefined);
  await assertClean();
});

test('RC-17, EX-16: an exit in the middle of the recovery is not lost', async (t) => {
  const ids = [
    await unrecorded(['sleep', '1000'], 'running'),
    await unrecorded(['sleep', '1000'], 'running'),
  ];
  const pids = await Promise.all(ids.map(async (id) => (await entryOf(id))?.pid ?? 0));
  const settle = Cell.prototype.settle;
  // The recovery records that they run: just then they end.
  Cell.prototype.settle = async function (fn) {
    for (const pid of pids.splice(0)) process.kill(pid, 'SIGKILL');
    await sleep(200);
    await settle.call(this, fn);
  };
  t.after(() => {
    Cell.prototype.settle = settle;
  });
  await runtime.reopen();
  Cell.prototype.settle = settle;
  const late = sleep(5000, undefined, { ref: false }).then(() => assert.fail('an exit was lost'));
  await Promise.race([Promise.all(ids.map(exited)), late]);
  for (const id of ids) assert.equal(status(id).exitCode, 137);
  await assertClean();
});

test('RC-17: a monitor that dies in the middle of the recovery leaves its containers EXITED', async (t) => {
  const id = await unrecorded(['sleep', '1000'], 'running');
  const { pid } = runtime.ctx.monitors.get(podId).connection;
  const settle = Cell.prototype.settle;
  Cell.prototype.settle = async function (fn) {
    Cell.prototype.settle = settle;
    process.kill(pid, 'SIGKILL');
    await sleep(200);
    await settle.call(this, fn);
  };
  t.after(() => {
    Cell.prototype.settle = settle;
  });
  await runtime.reopen();
  await exited(id);
  assert.equal(status(id).exitCode, 255);
  const end = Date.now() + 5000;
  while (runtime.ctx.sandboxes.get(podId).state === 'ready' && Date.now() < end) await sleep(5);
  assert.equal(runtime.ctx.sandboxes.get(podId).state, 'notReady');
  await assertClean();
});

test('RC-18: what has ended has its own code, whatever was recorded', async () => {
  const known = await running(['sh', '-c', 'sleep 0.2; exit 8']);
  const unknown = await unrecorded(['sh', '-c', 'exit 7'], 'exited');
  const { connection } = runtime.ctx.monitors.get(podId);
  const { pid } = connection;
  await runtime.reopen(async () => {
    while (true) {
      let all: string[] = [];
      await meanwhile(async (c) => {
        all = (await c.state()).map((entry) => entry.state);
      });
      if (all.every((each) => each === 'exited')) break;
      await sleep(10);
    }
  });
  assert.equal(runtime.ctx.monitors.get(podId).connection.pid, pid);
  assert.deepEqual([state(known), status(known).exitCode], ['exited', 8]);
  assert.deepEqual([state(unknown), status(unknown).exitCode], ['exited', 7]);
  const { startedAt, finishedAt } = status(unknown);
  assert.ok(startedAt > 0n && startedAt <= finishedAt);
  await assertClean();
});

test('RC-19: with its status lost a container is UNKNOWN, or ended where that is known', async () => {
  const runs = await running();
  const over = await running(['sh', '-c', 'exit 6']);
  await exited(over);
  const created = await runtime.create(podId);
  const all = [runs, over, created];
  await runtime.reopen(async () => {
    for (const id of all) await damage('container-status', id);
  });
  assert.deepEqual(all.map(state), ['unknown', 'exited', 'unknown']);
  assert.equal(status(over).exitCode, 6);
  const { problems } = runtime.ctx.store;
  assert.deepEqual(
    problems.map(({ table, outcome }) => [table, outcome]),
    all.map(() => ['container-status', 'quarantined']),
  );
  for (const id of [runs, created]) {
    await assert.rejects(startContainer(runtime.ctx, id), { kind: 'FailedPrecondition' });
    await stopContainer(runtime.ctx, id, 0, AbortSignal.timeout(5000));
  }
  assert.deepEqual([status(runs).exitCode, status(created).exitCode], [137, 255]);
  await assertClean();
});

test('RC-20: what cannot be recovered is UNKNOWN, and can be stopped and removed', async (t) => {
  const id = await parked(['sleep', '1000']);
  const bystander = await running();
  const { connectMonitor } = addon;
  addon.connectMonitor = (path) => {
    addon.connectMonitor = connectMonitor;
    const refused = () => Promise.reject(new Error('injected'));
    return Object.defineProperty(connectMonitor(path), 'delete', {
      value: refused,
      configurable: true,
    });
  };
  t.after(() => {
    addon.connectMonitor = connectMonitor;
  });
  await runtime.reopen();
  Reflect.deleteProperty(runtime.ctx.monitors.get(podId).connection, 'delete');
  assert.deepEqual([state(id), state(bystander)], ['unknown', 'running']);
  await assert.rejects(startContainer(runtime.ctx, id), { kind: 'FailedPrecondition' });
  await stopContainer(runtime.ctx, id, 0, AbortSignal.timeout(5000));
  assert.equal(state(id), 'exited');
  await removeContainer(runtime.ctx, id);
  await assertClean();
});

test('RC-1: a pod whose record is lost ends, its containers can be removed, and others go on', async () => {
  const other = podId;
  const named = `/coracle-test-${process.pid}`;
  for (const config of [podConfig(), podConfig({ cgroupParent: named })]) {
    podId = await runtime.pod(config);
    const runs = await running();
    const over = await running(['sh', '-c', 'exit 6']);
    await exited(over);
    const created = await runtime.create(podId);
    await runtime.reopen(() => damage('sandboxes', podId));
    assert.equal(runtime.ctx.sandboxes.has(podId), false);
    assert.deepEqual([runs, over, created].map(state), ['exited', 'exited', 'created']);
    assert.equal(status(over).exitCode, 6);
    await assert.rejects(startContainer(runtime.ctx, created), { kind: 'NotFound' });
    assert.equal(runtime.ctx.sandboxes.get(other).state, 'ready');
    const again = await runtime.pod(config);
    assert.equal(runtime.ctx.sandboxes.get(again).state, 'ready', 'its name is free');
    for (const id of [runs, over, created]) {
      await removeContainer(runtime.ctx, id, AbortSignal.timeout(5000));
    }
    await removeSandbox(runtime.ctx, again);
  }
  // The parent is its maker's to remove: rmdir refuses where anything is left in it.
  for (const path of cgroupDirs(runtime.ctx.cgroups, named)) rmdirSync(path);
  await assertClean();
});

test('RC-3, SB-12: names are reserved again after a restart, of pods and of containers', async () => {
  const config = podConfig();
  const pod = await runtime.pod(config);
  await runtime.create(pod, { name: 'same', command: ['other'] });
  await runtime.reopen();
  const taken = { kind: 'AlreadyExists', reason: 'NameReserved' };
  await assert.rejects(runtime.pod(config), taken);
  await assert.rejects(runtime.create(pod, { name: 'same' }), taken);
  await assertClean();
});
