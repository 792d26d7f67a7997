/** What may happen between a creation and a start: a process that was launched ahead changes none of it. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { cgroupDirs } from '../../src/runtime/cgroup/index.ts';
import { keepAlive } from '../../src/runtime/deferred.ts';
import { execSync } from '../../src/runtime/exec-sync.ts';
import { removeContainer } from '../../src/runtime/remove.ts';
import { reopenLog } from '../../src/runtime/reopen-log.ts';
import { startContainer } from '../../src/runtime/start.ts';
import { containerStats } from '../../src/runtime/stats/container-stats.ts';
import { podStats } from '../../src/runtime/stats/pod-stats.ts';
import { stopContainer } from '../../src/runtime/stop.ts';
import { stopSandbox } from '../../src/runtime/stop-sandbox.ts';
import { gate } from '../helpers/direct-runtime.ts';
import { embryoSuite } from '../helpers/embryo-suite.ts';

const suite = embryoSuite();
const { launchAhead, runtime, status, state, exited, created, wakes, entry, log } = suite;
const assertClean = () => suite.assertClean();

const record = (id: string) => runtime.ctx.containers.get(id).record;
const dirsOf = (id: string, controller?: string) =>
  cgroupDirs(runtime.ctx.cgroups, record(id).cgroupPath, controller);

/** Whatever is in the container's cgroup stands still. */
function freeze(id: string): boolean {
  const file = join(runtime.ctx.cgroups.v2?.root ?? '', record(id).cgroupPath, 'cgroup.freeze');
  if (!existsSync(file)) return false;
  writeFileSync(file, '1');
  return true;
}

/** Keeps every launch in the pod from the monitor until `open` is called. */
function heldLaunches(): () => void {
  const monitor = runtime.ctx.monitors.get(suite.pod);
  const { connection } = monitor;
  const { passed, open } = gate();
  const launch: typeof connection.launch = async (...args) => {
    await passed;
    return connection.launch(...args);
  };
  const held = new Proxy(connection, {
    get(target, name: keyof typeof connection) {
      const value = name === 'launch' ? launch : target[name];
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  Object.assign(monitor, { connection: held });
  return open;
}

test('XS-1, LG-9: a created container has no process, whoever asks', async () => {
  const { ctx } = runtime;
  const { id, pid } = await created();
  assert.ok(pid > 0);
  const { pid: recorded, startedAt, user } = status(id);
  assert.deepEqual([recorded, startedAt, user], [0, 0n, undefined]);
  const created_ = { kind: 'FailedPrecondition', message: /is in created state/ };
  await assert.rejects(execSync(ctx, id, ['true'], {}), created_);
  await assert.rejects(reopenLog(ctx, id), created_);
  const [stats] = await containerStats(ctx, [ctx.containers.get(id)]);
  assert.equal(stats?.sample, undefined);
  const [pod] = await podStats(ctx, [ctx.sandboxes.get(suite.pod)]);
  assert.equal(pod?.processes, 0);
  assert.equal(await wakes({ id, pid }), true);
  const [started] = await podStats(ctx, [ctx.sandboxes.get(suite.pod)]);
  assert.equal(started?.processes, 1);
  await assertClean();
});

test('ST-16: the directory of a log may be made between the creation and the start', async () => {
  const container = await created({ command: ['echo', 'said'], logPath: 'late/late.log' });
  mkdirSync(join(runtime.dir, 'logs', 'late'));
  assert.equal(await wakes(container), true);
  await exited(container.id);
  assert.match(log('late/late.log'), / stdout F said\n/);
  await assertClean();
});

test('what is made after the creation is there at the start', async () => {
  const hostPath = join(runtime.dir, 'late');
  const mounts = [{ hostPath, containerPath: '/late' }];
  const source = await created({ command: ['cat', '/late'], logPath: 'source.log', mounts });
  assert.equal(source.pid, 0, 'there is nothing to mount yet');
  writeFileSync(hostPath, 'mounted\n');
  await startContainer(runtime.ctx, source.id);
  await exited(source.id);
  assert.match(log('source.log'), /F mounted\n/);
  rmSync(hostPath);
  mkdirSync(hostPath);
  const program = await created({ command: ['/late/program'], logPath: 'program.log', mounts });
  writeFileSync(join(hostPath, 'program'), '#!/bin/sh\necho ran\n', { mode: 0o755 });
  assert.equal(await wakes(program), true);
  await exited(program.id);
  assert.match(log('program.log'), /F ran\n/);
  const gone = await created({ mounts });
  rmSync(hostPath, { recursive: true });
  await assert.rejects(startContainer(runtime.ctx, gone.id), { message: /open mount source/ });
  assert.equal(status(gone.id).reason, 'StartError');
  await assertClean();
});

test('ST-6: a cgroup that was taken away with its process is missed by the start', async () => {
  const { id, pid } = await created();
  process.kill(pid, 'SIGKILL');
  while (runtime.ctx.embryos.size > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  for (const dir of dirsOf(id)) execFileSync('rmdir', [dir]);
  await assert.rejects(startContainer(runtime.ctx, id), { kind: 'FailedPrecondition' });
  assert.deepEqual([status(id).reason, status(id).exitCode], ['StartError', 128]);
  await assertClean();
});

test('a cgroup that is full is refused at the start alone, as without an embryo', async (t) => {
  const { ctx } = runtime;
  const outcome = async (embryo: boolean) => {
    const id = await runtime.create(suite.pod);
    const [dir] = dirsOf(id, 'pids');
    if (!dir) return 'unlimited';
    writeFileSync(join(dir, 'pids.max'), '0');
    if (embryo) await launchAhead(id);
    await new Promise(setImmediate);
    while (ctx.embryos.size > 0 && (await entry(id))?.state !== 'parked');
    assert.equal(state(id), 'created');
    await startContainer(ctx, id).catch(() => {});
    return `${state(id)}, ${status(id).message.replaceAll(id, 'the id')}`;
  };
  const without = await outcome(false);
  if (without === 'unlimited') return t.skip('needs the pids controller');
  assert.equal(await outcome(true), without);
  await assertClean();
});

test('EX-6: an embryo that ran out of memory is no OOM kill of its container', async (t) => {
  const command = ['sh', '-c', 'exit 3'];
  const { id, pid } = await created({ command, resources: { memoryLimit: 16 << 20 } });
  const [dir] = dirsOf(id, 'memory');
  // The kernel counts by cgroups, and does not end one of so few pages before others.
  const hog = `echo $$ >${dir}/cgroup.procs; x=a; while true; do x=$x$x; done`;
  if (spawnSync('sh', ['-c', hog]).signal !== 'SIGKILL') return t.skip('needs the OOM killer');
  process.kill(pid, 'SIGKILL');
  assert.equal(await wakes({ id, pid }), false);
  await exited(id);
  assert.deepEqual([status(id).exitCode, status(id).reason], [3, 'Error']);
  await assertClean();
});

test('SB-13: containers of a monitor that died with their embryos have never run', async () => {
  const { ctx } = runtime;
  const waiting = await created();
  const taken = await created();
  const monitor = ctx.monitors.get(suite.pod);
  process.kill(monitor.connection.pid, 'SIGKILL');
  const start = startContainer(ctx, taken.id);
  await assert.rejects(start);
  await keepAlive(monitor.closed);
  assert.equal(state(waiting.id), 'created');
  assert.equal(status(taken.id).exitCode, 128);
  while (runtime.ctx.sandboxes.get(suite.pod).state === 'ready') {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const left = dirsOf(waiting.id).map((dir) => readFileSync(join(dir, 'cgroup.procs'), 'utf8'));
  assert.equal(left.join(''), '', 'what is told of as stopped has no process');
  while (ctx.embryos.size > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  await assertClean();
});

test('G-2, G-3: a start that waits for an embryo that hangs is broken off by a stop', async (t) => {
  const id = await runtime.create(suite.pod);
  if (!freeze(id)) return t.skip('needs cgroup v2');
  await launchAhead(id);
  const start = startContainer(runtime.ctx, id);
  await Promise.all([
    assert.rejects(start, { kind: 'FailedPrecondition', message: /broken off/ }),
    stopSandbox(runtime.ctx, suite.pod, AbortSignal.timeout(20_000)),
  ]);
  assert.deepEqual([status(id).reason, status(id).exitCode], ['StartError', 128]);
  await assertClean();
});

test('an embryo that hangs is ended by the stop of its container', async (t) => {
  const id = await runtime.create(suite.pod);
  if (!freeze(id)) return t.skip('needs cgroup v2');
  await launchAhead(id);
  await stopContainer(runtime.ctx, id, 0, AbortSignal.timeout(4_000));
  assert.equal(state(id), 'created');
  assert.equal(await entry(id), undefined);
  await assertClean();
});

test('a mount source that hangs holds up a removal only so long, and leaves nothing', async () => {
  const { ctx } = runtime;
  const id = await runtime.create(suite.pod);
  const letGo = heldLaunches();
  await launchAhead(id);
  await removeContainer(ctx, id);
  letGo();
  await new Promise(setImmediate);
  while ((await ctx.monitors.get(suite.pod).connection.state()).length > 0);
  assert.deepEqual(readdirSync(join(runtime.dir, 'root/containers')), []);
  await assertClean();
});

test('G-2: a stop waits for a start that waits for an embryo', async () => {
  const { ctx } = runtime;
  const id = await runtime.create(suite.pod);
  const letGo = heldLaunches();
  await launchAhead(id);
  const start = startContainer(ctx, id);
  const stop = stopContainer(ctx, id, 0);
  letGo();
  await Promise.all([start, stop]);
  assert.deepEqual([state(id), status(id).exitCode], ['exited', 137]);
  await assertClean();
});

test('a start while an embryo is being ended waits until it is gone', async () => {
  const { ctx } = runtime;
  for (let turn = 0; turn < 20; turn += 1) {
    const { id } = await created({ command: ['sh', '-c', 'exit 4'] });
    const [, task] = await Promise.all([ctx.embryos.drop(id), startContainer(ctx, id)]);
    assert.ok(task.pid > 0);
    await exited(id);
    assert.equal(status(id).exitCode, 4);
    await removeContainer(ctx, id);
  }
  await assertClean();
});

test('the user of an embryo is of the file that it was launched with', async () => {
  const hostPath = join(runtime.dir, 'passwd');
  writeFileSync(hostPath, 'me:x:1001:1001::/:/bin/sh\n');
  const { id, pid } = await created({
    command: ['id', '-u'],
    logPath: 'user.log',
    mounts: [{ hostPath, containerPath: '/etc/passwd' }],
    security: { runAsUsername: 'me' },
  });
  writeFileSync(hostPath, 'me:x:1002:1002::/:/bin/sh\n');
  assert.equal(await wakes({ id, pid }), true);
  await exited(id);
  assert.match(log('user.log'), /F 1001\n/);
  assert.equal(readFileSync(hostPath, 'utf8').includes('1002'), true);
  await assertClean();
});

test('a monitor that an older server started is asked for no embryo', async () => {
  runtime.ctx.monitors.get(suite.pod).embryos = false;
  const container = await created({ command: ['echo', 'said'], logPath: 'older.log' });
  assert.equal(container.pid, 0);
  await startContainer(runtime.ctx, container.id);
  await exited(container.id);
  assert.match(log('older.log'), / stdout F said\n/);
  await runtime.reopen();
  const newer = await created();
  assert.ok(newer.pid > 0, 'a recovered one of this version is');
  assert.equal(await wakes(newer), true);
  await assertClean();
});
