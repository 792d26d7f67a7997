/** Updates of limits, in the kernel's files and in what is told of them. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { cgroupDirs } from '../../src/runtime/cgroup/index.ts';
import { removeContainer } from '../../src/runtime/remove.ts';
import { removeSandbox } from '../../src/runtime/remove-sandbox.ts';
import { startContainer } from '../../src/runtime/start.ts';
import { logStdio } from '../../src/runtime/stdio.ts';
import { stopContainer } from '../../src/runtime/stop.ts';
import { stopSandbox } from '../../src/runtime/stop-sandbox.ts';
import { podResourcesOf, updatePodResources } from '../../src/runtime/update-pod-resources.ts';
import { resourcesOf, updateContainerResources } from '../../src/runtime/update-resources.ts';
import type { LinuxResources } from '../../src/spec/config.ts';
import { DirectRuntime, gate } from '../helpers/direct-runtime.ts';

const MiB = 1 << 20;

let runtime: DirectRuntime;
let pod: string;

before(async () => {
  runtime = await DirectRuntime.open();
  pod = await runtime.pod();
});
after(() => runtime.close());

/** A file of a cgroup, by its v1 name; where the host has v2 there, by that one. */
function limit(path: string, controller: string, v1: string, v2 = v1): string {
  const [dir = ''] = cgroupDirs(runtime.ctx.cgroups, path, controller);
  const file = [v1, v2].map((name) => join(dir, name)).find((each) => existsSync(each));
  return file === undefined ? 'missing' : readFileSync(file, 'utf8').trim();
}

const of = (id: string) => runtime.ctx.containers.get(id);
const update = (id: string, resources: LinuxResources, signal?: AbortSignal) =>
  updateContainerResources(runtime.ctx, id, { resources }, signal);
const memory = (id: string) =>
  limit(of(id).record.cgroupPath, 'memory', 'memory.limit_in_bytes', 'memory.max');
const shares = (id: string) => limit(of(id).record.cgroupPath, 'cpu', 'cpu.shares', 'cpu.weight');
const score = (pid: number) => readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8').trim();

function podMemory(id: string): string {
  const { cgroupPath } = runtime.ctx.sandboxes.get(id).record;
  return limit(cgroupPath, 'memory', 'memory.limit_in_bytes', 'memory.max');
}

async function running(resources: LinuxResources = {}): Promise<string> {
  const id = await runtime.create(pod, { resources });
  await startContainer(runtime.ctx, id);
  return id;
}

test('a created container has its new limits at once, and its process its score', async () => {
  const id = await runtime.create(pod, { resources: { memoryLimit: 64 * MiB } });
  await update(id, { memoryLimit: 32 * MiB, cpuShares: 512, oomScoreAdj: 321 });
  assert.equal(memory(id), String(32 * MiB));
  await startContainer(runtime.ctx, id);
  assert.equal(memory(id), String(32 * MiB));
  assert.equal(score(of(id).status.get().pid), '321');
  await removeContainer(runtime.ctx, id);
});

test('a running container keeps what an update does not name', async () => {
  const id = await running({ memoryLimit: 64 * MiB, cpuShares: 100 });
  await update(id, { cpuQuota: 20_000, cpuPeriod: 50_000 });
  await update(id, { cpuQuota: 10_000 });
  await update(id, { memoryLimit: 128 * MiB, oomScoreAdj: 500 });
  const { cgroupPath } = of(id).record;
  const quota = limit(cgroupPath, 'cpu', 'cpu.cfs_quota_us', 'cpu.max');
  assert.ok(['10000', '10000 50000'].includes(quota), quota);
  assert.equal(memory(id), String(128 * MiB));
  assert.equal(score(of(id).status.get().pid), '500');
  assert.deepEqual(resourcesOf(of(id)), {
    memoryLimit: 128 * MiB,
    cpuShares: 100,
    cpuQuota: 10_000,
    cpuPeriod: 50_000,
    oomScoreAdj: 500,
  });
  await update(id, { memoryLimit: -1, cpuQuota: -1 });
  assert.match(memory(id), /^(9223372036854771712|max)$/);
  const none = limit(cgroupPath, 'cpu', 'cpu.cfs_quota_us', 'cpu.max');
  assert.ok(['-1', 'max 50000'].includes(none), none);
  await removeContainer(runtime.ctx, id);
});

test('raising and lowering memory and swap together is taken in either direction', async () => {
  const id = await running({ memoryLimit: 32 * MiB });
  for (const size of [64, 16, 256, 8]) {
    await update(id, { memoryLimit: size * MiB, memorySwapLimit: 2 * size * MiB });
    assert.equal(memory(id), String(size * MiB));
  }
  await removeContainer(runtime.ctx, id);
});

test('G-1: an update during a start reaches the process', async () => {
  const id = await runtime.create(pod, { resources: { memoryLimit: 64 * MiB } });
  const held = gate();
  const parked = gate();
  const start = startContainer(runtime.ctx, id, {
    ...logStdio(runtime.ctx, of(id).record),
    parked: async () => {
      parked.open();
      await held.passed;
    },
  });
  await parked.passed;
  assert.equal(of(id).status.get().starting, true);
  const updated = update(id, { memoryLimit: 32 * MiB, oomScoreAdj: 77 });
  while (resourcesOf(of(id)).memoryLimit !== 32 * MiB) await new Promise(setImmediate);
  assert.equal(memory(id), String(32 * MiB), 'it does not wait for the start');
  held.open();
  const task = await start;
  await updated;
  assert.equal(memory(id), String(32 * MiB));
  assert.equal(score(task.pid), '77');
  await removeContainer(runtime.ctx, id);
});

test('a value that the kernel refuses is named, and everything is as it was', async () => {
  const id = await running({ memoryLimit: 64 * MiB, cpuShares: 100 });
  const before = [memory(id), shares(id)];
  await assert.rejects(update(id, { cpuShares: 700, cpusetCpus: '4000' }), {
    kind: 'FailedPrecondition',
    message: /^write "4000" to .*cpuset\.cpus: /,
  });
  assert.deepEqual([memory(id), shares(id)], before);
  assert.deepEqual(resourcesOf(of(id)), { memoryLimit: 64 * MiB, cpuShares: 100 });
  assert.equal(of(id).status.get().updating, undefined);
  await removeContainer(runtime.ctx, id);
});

test('memory in use cannot be taken away, and the container lives on', async () => {
  const id = await runtime.create(pod, {
    // One array of 40 MiB.
    command: ['awk', 'BEGIN { s = sprintf("%41943040s", ""); while (1) system("sleep 1") }'],
    resources: { memoryLimit: 256 * MiB },
  });
  await startContainer(runtime.ctx, id);
  const { cgroupPath } = of(id).record;
  const used = () => Number(limit(cgroupPath, 'memory', 'memory.usage_in_bytes', 'memory.current'));
  while (used() < 40 * MiB) await new Promise((resolve) => setTimeout(resolve, 10));
  await assert.rejects(update(id, { memoryLimit: 8 * MiB }), { kind: 'FailedPrecondition' });
  assert.equal(memory(id), String(256 * MiB));
  assert.equal(of(id).status.get().finishedAt, 0n);
  await removeContainer(runtime.ctx, id);
});

test('a container that has ended, or is being removed, is refused by its state', async () => {
  const id = await running();
  await stopContainer(runtime.ctx, id, 0);
  await assert.rejects(update(id, { cpuShares: 100 }), {
    kind: 'FailedPrecondition',
    message: `container ${id} is in exited state`,
  });
  const removed = removeContainer(runtime.ctx, id);
  await assert.rejects(update(id, { cpuShares: 100 }), { kind: 'FailedPrecondition' });
  await removed;
  await assert.rejects(update(id, { cpuShares: 100 }), { kind: 'NotFound' });
});

test('20 updates at once leave the last one, in the kernel and in the record', async () => {
  const id = await running({ cpuShares: 100 });
  const sizes = Array.from({ length: 20 }, (_, turn) => (turn + 10) * MiB);
  await Promise.all(sizes.map((memoryLimit) => update(id, { memoryLimit })));
  assert.equal(memory(id), String(29 * MiB));
  assert.deepEqual(resourcesOf(of(id)), { cpuShares: 100, memoryLimit: 29 * MiB });
  const gone = AbortSignal.abort();
  await assert.rejects(update(id, { memoryLimit: 5 * MiB }, gone), { kind: 'Cancelled' });
  assert.equal(memory(id), String(29 * MiB));
  await removeContainer(runtime.ctx, id);
});

test('updates against starts, stops and removals leave the kernel as the record has it', async () => {
  const quiet = (call: Promise<unknown>) => call.catch(() => {});
  for (let turn = 0; turn < 100; turn += 1) {
    const id = await runtime.create(pod, { resources: { memoryLimit: 64 * MiB } });
    const others = [
      quiet(startContainer(runtime.ctx, id)),
      quiet(update(id, { memoryLimit: (turn + 8) * MiB, oomScoreAdj: turn })),
    ];
    if (turn % 3 === 1) others.push(quiet(stopContainer(runtime.ctx, id, 0)));
    if (turn % 3 === 2) others.push(quiet(removeContainer(runtime.ctx, id)));
    await Promise.all(others);
    if (runtime.ctx.containers.has(id)) {
      const { memoryLimit, oomScoreAdj = 0 } = resourcesOf(of(id));
      assert.equal(memory(id), String(memoryLimit));
      const { pid, updating } = of(id).status.get();
      if (pid !== 0) assert.equal(score(pid), String(oomScoreAdj));
      assert.equal(updating, undefined);
    }
    await removeContainer(runtime.ctx, id);
  }
});

test('a record that cannot be written takes the limits back', async () => {
  const id = await running({ memoryLimit: 64 * MiB });
  const { status } = of(id);
  let calls = 0;
  const { updateSync } = status;
  status.updateSync = async (fn, options) => {
    calls += 1;
    if (calls === 2) throw new Error('injected');
    return updateSync.call(status, fn as never, options);
  };
  await assert.rejects(update(id, { memoryLimit: 32 * MiB }), /injected/);
  Reflect.deleteProperty(status, 'updateSync');
  assert.equal(memory(id), String(64 * MiB));
  assert.deepEqual(resourcesOf(of(id)), { memoryLimit: 64 * MiB });
  await removeContainer(runtime.ctx, id);
});

test('limits are told right after a restart, and one that a crash interrupted is finished', async () => {
  const id = await running({ memoryLimit: 64 * MiB });
  await update(id, { cpuShares: 300 });
  // As a crash between the record and the kernel leaves it.
  const updating = { ...resourcesOf(of(id)), memoryLimit: 48 * MiB };
  await of(id).status.updateSync((status) => ({ ...status, updating }));
  await runtime.reopen();
  assert.equal(memory(id), String(48 * MiB));
  assert.deepEqual(resourcesOf(of(id)), { memoryLimit: 48 * MiB, cpuShares: 300 });
  assert.equal(of(id).status.get().updating, undefined);
  await update(id, { memoryLimit: 64 * MiB });
  assert.equal(memory(id), String(64 * MiB));
  await removeContainer(runtime.ctx, id);
});

test("a pod's own cgroup has the limits of the pod, with its overhead; a foreign one has not", async () => {
  const { ctx } = runtime;
  const resources = { memoryLimit: 64 * MiB };
  const id = await runtime.pod({ podResources: { resources } });
  assert.equal(podMemory(id), String(64 * MiB));
  const change = { resources: { memoryLimit: 128 * MiB }, overhead: { memoryLimit: 8 * MiB } };
  await updatePodResources(ctx, id, change);
  assert.equal(podMemory(id), String(136 * MiB));
  await startContainer(ctx, await runtime.create(id));
  await runtime.reopen();
  assert.deepEqual(podResourcesOf(runtime.ctx.sandboxes.get(id)), change);
  await assert.rejects(
    updatePodResources(runtime.ctx, id, { resources: { cpusetCpus: '4000' } }),
    /write "4000"/,
  );
  assert.deepEqual(podResourcesOf(runtime.ctx.sandboxes.get(id)), change);
  await stopSandbox(runtime.ctx, id);
  await assert.rejects(updatePodResources(runtime.ctx, id, change), { kind: 'FailedPrecondition' });
  await removeSandbox(runtime.ctx, id);

  const bare = await runtime.pod();
  await updatePodResources(runtime.ctx, bare, { resources });
  assert.equal(podMemory(bare), String(64 * MiB), 'before its first container');
  await removeSandbox(runtime.ctx, bare);

  const cgroupParent = `/coracle-test-${process.pid}`;
  const foreign = await runtime.pod({ cgroupParent });
  await updatePodResources(runtime.ctx, foreign, { resources });
  assert.deepEqual(podResourcesOf(runtime.ctx.sandboxes.get(foreign)), {
    resources,
    overhead: {},
  });
  for (const dir of cgroupDirs(runtime.ctx.cgroups, cgroupParent)) assert.ok(!existsSync(dir));
  await removeSandbox(runtime.ctx, foreign);
});

test('a pod that is removed during an update leaves no cgroup behind', async () => {
  const { ctx } = runtime;
  const id = await runtime.pod();
  const { cgroupPath } = ctx.sandboxes.get(id).record;
  const [making, held] = [gate(), gate()];
  const { runFileOps } = ctx.addon;
  const restore = runtime.replace({
    runFileOps: async (ops) => {
      if (ops.some(({ op }) => op === 'mkdir')) {
        making.open();
        await held.passed;
      }
      return runFileOps(ops);
    },
  });
  const resources = { memoryLimit: 64 * MiB };
  const updating = updatePodResources(ctx, id, { resources });
  updating.catch(() => {});
  await making.passed;
  const removing = removeSandbox(ctx, id);
  await new Promise((resolve) => setTimeout(resolve, 300));
  held.open();
  await assert.rejects(updating, { kind: 'FailedPrecondition' });
  await removing;
  restore();
  for (const dir of cgroupDirs(ctx.cgroups, cgroupPath)) assert.ok(!existsSync(dir), dir);
});
