/** What a crash leaves behind, and monitors that do not answer. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { cgroupDirs } from '../../src/runtime/cgroup/index.ts';
import { keepAlive } from '../../src/runtime/deferred.ts';
import { removeSandbox } from '../../src/runtime/remove-sandbox.ts';
import { startContainer } from '../../src/runtime/start.ts';
import { stateOf } from '../../src/store/container-status.ts';
import { openStore } from '../../src/store/open.ts';
import { gate } from '../helpers/direct-runtime.ts';
import { directSuite } from '../helpers/direct-suite.ts';
import { procStat } from '../helpers/proc-stat.ts';

const suite = directSuite();
const { runtime } = suite;

const assertClean = () => suite.assertClean(...runtime.pods());

/** Takes records out of the store of a runtime that is closed. */
async function forget(lost: { sandboxes: string[]; containers: string[] }): Promise<void> {
  const store = await openStore(runtime.ctx.options.root);
  for (const id of lost.sandboxes) await store.table('sandboxes').remove(id);
  for (const id of lost.containers) {
    await store.table('containers').remove(id);
    await store.table('container-status').remove(id);
  }
  await store.close();
}

/** A zombie has ended. */
function lives(pid: number): boolean {
  return existsSync(`/proc/${pid}/stat`) && !['Z', 'X'].includes(procStat(pid).state);
}

async function ended(pid: number): Promise<void> {
  const end = Date.now() + 5000;
  while (lives(pid) && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(lives(pid), false, `process ${pid} still runs`);
}

test('SB-2: a pod that a crash kept from being ready is undone, its monitor with it', async () => {
  const { addon } = runtime.ctx;
  let pid = 0;
  const restore = runtime.replace({
    startMonitor: (spawn) => {
      const connection = addon.startMonitor(spawn);
      pid = connection.pid;
      return Object.defineProperty(connection, 'sandbox', { value: () => new Promise(() => {}) });
    },
  });
  void runtime.pod().catch(() => {});
  while (pid === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  restore();
  await runtime.reopen();
  await ended(pid);
  assert.deepEqual(runtime.ctx.sandboxes.list(), []);
  await assertClean();
});

test('SB-9: a monitor whose connection broke ends with its pod', async () => {
  const pod = await runtime.pod();
  const monitor = runtime.ctx.monitors.get(pod);
  monitor.close();
  await removeSandbox(runtime.ctx, pod);
  await ended(monitor.connection.pid);
  await assertClean();
});

test('RC-5: what a crash leaves of a container being created goes, its cgroup too', async () => {
  const parent = `/coracle-test-${process.pid}`;
  const pod = await runtime.pod({ cgroupParent: parent });
  const { passed, open } = gate();
  const { containers } = runtime.ctx;
  containers.add = async () => {
    open();
    return new Promise<never>(() => {});
  };
  void runtime.create(pod).catch(() => {});
  await keepAlive(passed);
  await runtime.reopen();
  assert.deepEqual(runtime.ctx.containers.list(), []);
  await removeSandbox(runtime.ctx, pod);
  // The parent is its maker's to remove: rmdir refuses where anything is left in it.
  for (const path of cgroupDirs(runtime.ctx.cgroups, parent)) rmdirSync(path);
  await assertClean();
});

test('RC-5: a pod that is lost with its containers ends, wherever its cgroups are', async () => {
  const { cgroups } = runtime.ctx;
  for (const killed of [false, true]) {
    const parent = `/coracle-test-${process.pid}/deeper`;
    const pod = await runtime.pod({ cgroupParent: parent, namespaces: { network: 'none' } });
    const runs = await runtime.create(pod, {
      command: ['sh', '-c', 'sleep 1000 & wait'],
      security: { runAsUser: 1000, pid: 'node' },
    });
    const created = await runtime.create(pod);
    await startContainer(runtime.ctx, runs);
    const { pid } = runtime.ctx.containers.get(runs).status.get();
    const monitor = runtime.ctx.monitors.get(pod).connection.pid;
    await runtime.reopen(async () => {
      await forget({ sandboxes: [pod], containers: [runs, created] });
      // One of its containers has nothing but its cgroup and the room for its exit record.
      rmSync(join(runtime.dir, 'root', 'containers', runs), { recursive: true });
      if (killed) process.kill(monitor, 'SIGKILL');
    });
    await ended(monitor);
    await ended(pid);
    for (const path of cgroupDirs(cgroups, parent)) rmdirSync(path);
    for (const path of cgroupDirs(cgroups, dirname(parent))) rmdirSync(path);
    await assertClean();
  }
});

test('RC-5: a container whose record alone is lost ends, and its neighbours go on', async () => {
  const pod = await runtime.pod();
  const [lost, kept] = [await runtime.create(pod), await runtime.create(pod)];
  for (const id of [lost, kept]) await startContainer(runtime.ctx, id);
  const pidOf = (id: string) => runtime.ctx.containers.get(id).status.get().pid;
  const pids = [pidOf(lost), pidOf(kept)] as const;
  const cgroups = cgroupDirs(
    runtime.ctx.cgroups,
    runtime.ctx.containers.get(lost).record.cgroupPath,
  );
  await runtime.reopen(() => forget({ sandboxes: [], containers: [lost] }));
  assert.equal(lives(pids[0]), false);
  assert.equal(lives(pids[1]), true);
  assert.equal(pidOf(kept), pids[1]);
  assert.deepEqual(cgroups.filter(existsSync), []);
  const entries = await runtime.ctx.monitors.get(pod).connection.state();
  assert.deepEqual(
    entries.map(({ id }) => id),
    [kept],
  );
  await assertClean();
});

test('RC-5: monitors whose state directory was deleted end, with or without a record', async () => {
  const kept = await runtime.pod();
  const id = await runtime.create(kept);
  await startContainer(runtime.ctx, id);
  const lost = await runtime.pod();
  const pids = [kept, lost].map((pod) => runtime.ctx.monitors.get(pod).connection.pid);
  await runtime.reopen(async () => {
    await forget({ sandboxes: [lost], containers: [] });
    rmSync(join(runtime.dir, 'state'), { recursive: true });
  });
  for (const pid of pids) await ended(pid);
  assert.equal(runtime.ctx.sandboxes.get(kept).state, 'notReady');
  const { exitCode, reason } = runtime.ctx.containers.get(id).status.get();
  assert.deepEqual([exitCode, reason], [255, 'Unknown']);
  await assertClean();
});

test('EX-4: what ran of another user than root ends with its monitor, seen or not', async () => {
  for (const seen of [true, false]) {
    const { ctx } = runtime;
    const pod = await runtime.pod({ namespaces: { network: 'none', pid: 'node' } });
    const id = await runtime.create(pod, {
      command: ['sh', '-c', 'sleep 1000 & wait'],
      security: { runAsUser: 1000, pid: 'node' },
    });
    await startContainer(ctx, id);
    const { exited } = ctx.live.of(id);
    const { pid } = ctx.containers.get(id).status.get();
    const procs =
      cgroupDirs(ctx.cgroups, ctx.containers.get(id).record.cgroupPath, 'pids')[0] ?? '';
    const pids = () =>
      readFileSync(join(procs, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean);
    const end = Date.now() + 5000;
    while (pids().length < 2 && Date.now() < end) await sleep(5);
    const all = pids().map(Number);
    assert.equal(all.length, 2);
    const monitor = ctx.monitors.get(pod);
    if (!seen) ctx.monitors.closeAll();
    process.kill(monitor.connection.pid, 'SIGKILL');
    await ended(pid);
    if (seen) await keepAlive(exited.promise);
    else await runtime.reopen();
    for (const each of all) await ended(each);
    const { exitCode } = runtime.ctx.containers.get(id).status.get();
    assert.equal(exitCode, 255);
    await assertClean();
  }
});

test('G-10: a container that ran before the crash was recorded keeps its exit code', async () => {
  const { ctx } = runtime;
  const pod = await runtime.pod();
  const id = await runtime.create(pod, { command: ['sh', '-c', 'exit 7'] });
  const { status } = ctx.containers.get(id);
  status.updateSync = () => new Promise(() => {});
  void startContainer(ctx, id);
  const exits = join(ctx.options.state, 'pods', pod, 'exits', id);
  while (!existsSync(exits)) await new Promise((resolve) => setTimeout(resolve, 5));
  const monitor = ctx.monitors.get(pod);
  ctx.monitors.closeAll();
  process.kill(monitor.connection.pid, 'SIGKILL');
  await ended(monitor.connection.pid);
  assert.equal(stateOf(status.get()), 'created');
  await runtime.reopen();
  const { exitCode, reason, startedAt, finishedAt } = runtime.ctx.containers.get(id).status.get();
  assert.deepEqual([exitCode, reason], [7, 'Error']);
  assert.ok(startedAt > 0n && startedAt <= finishedAt);
  await assertClean();
});

test('RC-6: a monitor that does not answer delays a start, and is ended', async () => {
  const [stuck, fine] = [await runtime.pod(), await runtime.pod()];
  const ids: string[] = [];
  for (const pod of [stuck, fine]) {
    const id = await runtime.create(pod);
    await startContainer(runtime.ctx, id);
    ids.push(id);
  }
  const { pid } = runtime.ctx.monitors.get(stuck).connection;
  process.kill(pid, 'SIGSTOP');
  await runtime.reopen();
  await ended(pid);
  const states = ids.map((id) => stateOf(runtime.ctx.containers.get(id).status.get()));
  assert.deepEqual(states, ['exited', 'running']);
  assert.equal(runtime.ctx.sandboxes.get(stuck).state, 'notReady');
  assert.equal(runtime.ctx.sandboxes.get(fine).state, 'ready');
  await assertClean();
});

test('an attached pod whose program has gone is removed, though its monitor still answers', async () => {
  const pod = await runtime.pod({ attached: true });
  await startContainer(runtime.ctx, await runtime.create(pod));
  await runtime.reopen();
  assert.equal(runtime.ctx.sandboxes.has(pod), false);
  await assertClean();
});

test('whoever waits for a container of a runtime that closes is told so', async () => {
  const pod = await runtime.pod();
  const id = await runtime.create(pod);
  await startContainer(runtime.ctx, id);
  const { exited } = runtime.ctx.live.of(id);
  const before = process.getActiveResourcesInfo().length;
  const told = assert.rejects(keepAlive(exited.promise), { kind: 'Unavailable' });
  await runtime.reopen();
  await told;
  assert.ok(process.getActiveResourcesInfo().length <= before + 1);
  await assertClean();
});
