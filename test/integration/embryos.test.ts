/** Processes that are launched ahead of their start: whatever became of them, a start is a start. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { closeRuntime } from '../../src/runtime/open.ts';
import { removeContainer } from '../../src/runtime/remove.ts';
import { startContainer } from '../../src/runtime/start.ts';
import { stopContainer } from '../../src/runtime/stop.ts';
import { stopSandbox } from '../../src/runtime/stop-sandbox.ts';
import { updateContainerResources } from '../../src/runtime/update-resources.ts';
import type { ContainerConfig } from '../../src/spec/config.ts';
import { embryoSuite } from '../helpers/embryo-suite.ts';

const suite = embryoSuite();
const { launchAhead, runtime, status, state, exited, created, wakes, entry, log } = suite;
const assertClean = () => suite.assertClean();

const SAYS = ['sh', '-c', 'cat /file; echo said'];

test('a start wakes the process that was launched ahead, with its log', async () => {
  const container = await created({ command: SAYS, logPath: 'woken.log', env: [] });
  const { id, pid } = container;
  assert.ok(pid > 0);
  assert.equal((await entry(id))?.state, 'parked');
  assert.deepEqual([state(id), status(id).pid, status(id).startedAt], ['created', 0, 0n]);
  assert.equal(existsSync(join(runtime.dir, 'logs', 'woken.log')), false, 'ST-16: by the start');
  assert.equal(await wakes(container), true);
  await exited(id);
  assert.equal(status(id).exitCode, 0);
  assert.match(log('woken.log'), / stdout F said\n/);
  const terminal = await created({ command: SAYS, logPath: 'tty.log', tty: true });
  assert.equal(await wakes(terminal), true);
  await exited(terminal.id);
  assert.match(log('tty.log'), / stdout F said\r?\n/);
  await assertClean();
});

test('a start that comes at once waits for the launch, and 8 at once for theirs', async () => {
  await Promise.all(
    Array.from({ length: 8 }, async (_, n) => {
      const id = await runtime.create(suite.pod, { command: ['sh', '-c', `exit ${n}`] });
      await launchAhead(id);
      if (n % 2 === 0) await new Promise(setImmediate);
      await startContainer(runtime.ctx, id);
      await exited(id);
      assert.equal(status(id).exitCode, n);
      await removeContainer(runtime.ctx, id);
    }),
  );
  await assertClean();
});

test('ST-6: what is wrong shows at the start, as without an embryo', async () => {
  const wrong: [Partial<ContainerConfig>, RegExp][] = [
    [{ command: ['/no/such'] }, /^exec \/no\/such: no such file or directory$/],
    [{ security: { runAsUsername: 'nobody-there' } }, /nobody-there/],
    [{ mounts: [{ hostPath: '/no/such', containerPath: '/m' }] }, /open mount source \/no\/such/],
  ];
  for (const [change, message] of wrong) {
    const { id } = await created(change);
    assert.equal(state(id), 'created');
    await assert.rejects(startContainer(runtime.ctx, id), { message });
    assert.deepEqual([state(id), status(id).exitCode], ['exited', 128]);
    assert.equal(status(id).reason, 'StartError');
    assert.equal(await entry(id), undefined);
  }
  // ST-17: also what the start alone can see.
  const { id } = await created({ logPath: 'none/such.log' });
  await assert.rejects(startContainer(runtime.ctx, id), { message: /^open log/ });
  assert.equal(status(id).reason, 'StartError');
  assert.equal(await entry(id), undefined);
  await assertClean();
});

test('a mount source that was exchanged before the start is the one that is mounted', async () => {
  const dir = join(runtime.dir, 'source');
  mkdirSync(dir);
  const file = join(dir, 'file');
  const mounts = [{ hostPath: file, containerPath: '/file' }];
  writeFileSync(file, 'first\n');
  const written = await created({ command: SAYS, logPath: 'written.log', mounts });
  writeFileSync(file, 'second\n');
  assert.equal(await wakes(written), true, 'the file is the same');
  await exited(written.id);
  assert.match(log('written.log'), /second\n/);

  const renamed = await created({ command: SAYS, logPath: 'renamed.log', mounts });
  writeFileSync(`${file}.new`, 'third\n');
  renameSync(`${file}.new`, file);
  assert.equal(await wakes(renamed), false);
  await exited(renamed.id);
  assert.match(log('renamed.log'), /third\n/);

  const volume = [{ hostPath: dir, containerPath: '/dir' }];
  const command = ['sh', '-c', 'cat /dir/file'];
  const mounted = await created({ command, logPath: 'mounted.log', mounts: volume });
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', dir]);
  writeFileSync(file, 'fourth\n');
  assert.equal(await wakes(mounted), false);
  await exited(mounted.id);
  assert.match(log('mounted.log'), /fourth\n/);
  execFileSync('umount', [dir]);
  await assertClean();
});

test('an embryo ends with the removal or the stop of its container, and with its pod', async () => {
  const { ctx } = runtime;
  const removed = await created();
  await removeContainer(ctx, removed.id);
  assert.equal(existsSync(`/proc/${removed.pid}`), false);
  const atOnce = await runtime.create(suite.pod);
  await launchAhead(atOnce);
  await removeContainer(ctx, atOnce);
  assert.equal(await entry(atOnce), undefined);
  const stopped = await created();
  await stopContainer(ctx, stopped.id, 1000);
  assert.equal(existsSync(`/proc/${stopped.pid}`), false);
  assert.equal(await wakes(stopped), false, 'it is launched by its start then');
  const members = await created();
  await stopSandbox(ctx, suite.pod);
  assert.equal(existsSync(`/proc/${members.pid}`), false);
  assert.equal(ctx.embryos.size, 0);
  await assert.rejects(startContainer(ctx, members.id), { message: /not ready/ });
  await assertClean();
});

test('G-1: limits that were updated before the start are those of the process', async () => {
  const { ctx } = runtime;
  const limited = await created({ resources: { memoryLimit: 64 << 20 } });
  await updateContainerResources(ctx, limited.id, { resources: { memoryLimit: 32 << 20 } });
  assert.equal(await wakes(limited), true, 'it is in its cgroup already');
  const scored = await created();
  await updateContainerResources(ctx, scored.id, { resources: { oomScoreAdj: 321 } });
  assert.equal(await wakes(scored), false);
  const { pid } = status(scored.id);
  assert.equal(readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8').trim(), '321');
  await assertClean();
});

test('an embryo that was killed is told of by nobody, and replaced by the start', async () => {
  const { ctx } = runtime;
  const killed = await created({ command: ['sh', '-c', 'exit 3'] });
  process.kill(killed.pid, 'SIGKILL');
  assert.equal(await wakes(killed), false);
  await exited(killed.id);
  assert.equal(status(killed.id).exitCode, 3);
  const noticed = await created();
  process.kill(noticed.pid, 'SIGKILL');
  while (ctx.embryos.size > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(state(noticed.id), 'created');
  assert.equal(await wakes(noticed), false);
  await assertClean();
});

test('streams of an embedding program, and processes that others see, have no embryo', async () => {
  const { ctx } = runtime;
  const piped = await created();
  const stdio = [{ type: 'null' }, { type: 'pipe' }, { type: 'pipe' }] as const;
  const task = await startContainer(ctx, piped.id, { stdio: [...stdio] });
  assert.notEqual(task.pid, piped.pid);
  assert.equal(existsSync(`/proc/${piped.pid}`), false);
  task.closePipes();
  const shared = await runtime.pod({ namespaces: { network: 'none', pid: 'pod' } });
  assert.equal((await created({}, shared)).pid, 0);
  assert.equal((await created({ security: { pid: 'node' } })).pid, 0);
  await assertClean();
});

test('RC-12: what an earlier server launched ahead is ended, and the start launches', async () => {
  const left = await created({ command: ['sh', '-c', 'exit 5'] });
  const died = await created();
  await runtime.reopen(async () => {
    assert.equal(existsSync(`/proc/${left.pid}`), true, 'a server that dies ends nothing');
    process.kill(died.pid, 'SIGKILL');
  });
  assert.equal(existsSync(`/proc/${left.pid}`), false);
  assert.equal(state(died.id), 'created', 'what has run nothing has not ended');
  assert.equal(await wakes(died), false);
  assert.equal(state(left.id), 'created');
  assert.equal(await wakes(left), false);
  await exited(left.id);
  assert.equal(status(left.id).exitCode, 5);
  const letGo = await created();
  await closeRuntime(runtime.ctx);
  assert.equal(existsSync(`/proc/${letGo.pid}`), false, 'one that ends in order ends them');
  await runtime.open();
  assert.equal(await wakes(letGo), false);
  await assertClean();
});

test('starts against stops and removals leave no process', async () => {
  const { ctx } = runtime;
  const outcomes = await Promise.all(
    Array.from({ length: 12 }, async (_, n) => {
      const id = await runtime.create(suite.pod, { command: ['sleep', '1000'] });
      await launchAhead(id);
      if (n % 4 !== 0) await new Promise((resolve) => setTimeout(resolve, n % 4));
      const against = n % 2 === 0 ? stopContainer(ctx, id, 0) : removeContainer(ctx, id);
      const [start, other] = await Promise.allSettled([startContainer(ctx, id), against]);
      if (ctx.containers.has(id)) {
        await stopContainer(ctx, id, 0);
        assert.notEqual(state(id), 'running');
        await removeContainer(ctx, id);
      }
      return [start.status, other.status];
    }),
  );
  assert.equal(outcomes.length, 12);
  const entries = await ctx.monitors.get(suite.pod).connection.state();
  assert.deepEqual(entries, []);
  await assertClean();
});
