/** G-5: a runtime whose disk is full, from the pod to its record. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  rmdirSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { keepAlive } from '../../src/runtime/deferred.ts';
import { removeContainer } from '../../src/runtime/remove.ts';
import { removeSandbox } from '../../src/runtime/remove-sandbox.ts';
import { startContainer } from '../../src/runtime/start.ts';
import { stopContainer } from '../../src/runtime/stop.ts';
import { stateOf } from '../../src/store/container-status.ts';
import { DirectRuntime } from '../helpers/direct-runtime.ts';

const skip = process.getuid?.() === 0 ? false : 'mounting a tmpfs needs root';

/** A runtime that has all it has on a file system of 48 MB. */
async function onSmallDisk(t: TestContext): Promise<{ disk: string; runtime: DirectRuntime }> {
  const disk = mkdtempSync(join(tmpdir(), 'coracle-full-'));
  const { TMPDIR } = process.env;
  let runtime: DirectRuntime | undefined;
  // One hook, since hooks run in the order of their registration.
  t.after(async () => {
    await runtime?.close();
    spawnSync('umount', [disk]);
    rmdirSync(disk);
  });
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=48m', 'coracle-test', disk]);
  assert.equal(mounted.status, 0, String(mounted.stderr));
  try {
    process.env.TMPDIR = disk;
    runtime = await DirectRuntime.open();
  } finally {
    if (TMPDIR === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = TMPDIR;
  }
  return { disk, runtime };
}

/** Takes all space that is left. */
function fill(disk: string): void {
  const fd = openSync(join(disk, 'filler'), 'a');
  for (const size of [65_536, 4096]) {
    try {
      for (;;) writeSync(fd, Buffer.alloc(size, 1));
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
    }
  }
  closeSync(fd);
}

test('G-5, EX-3: with a full disk containers exit, stop and go, and what is recorded catches up', {
  skip,
}, async (t) => {
  const { disk, runtime } = await onSmallDisk(t);
  const { ctx } = runtime;
  const pod = await runtime.pod();
  const status = (id: string) => runtime.ctx.containers.get(id).status.get();
  const ends = ['sh', '-c', 'while ! test -e /dev/shm/over; do sleep 0.02; done; exit 5'];
  const [ending, kept] = [
    await runtime.create(pod, { command: ends }),
    await runtime.create(pod, { command: ends }),
  ];
  const stopped = await runtime.create(pod);
  for (const id of [ending, kept, stopped]) await startContainer(ctx, id);
  fill(disk);
  const forEver = async () => {
    for (;;) await runtime.create(pod);
  };
  await assert.rejects(forEver(), { kind: 'ResourceExhausted' });
  fill(disk);
  // The pod's shared memory is a file system of its own.
  closeSync(openSync(`/proc/${status(ending).pid}/root/dev/shm/over`, 'w'));
  for (const id of [ending, kept]) {
    await keepAlive(ctx.live.of(id).exited.promise);
    assert.deepEqual([stateOf(status(id)), status(id).exitCode], ['exited', 5]);
  }
  await stopContainer(ctx, stopped, 0, AbortSignal.timeout(5000));
  assert.equal(status(stopped).exitCode, 137);
  for (const id of [ending, stopped]) await removeContainer(ctx, id, AbortSignal.timeout(5000));
  rmSync(join(disk, 'filler'));
  const end = Date.now() + 35_000;
  while (ctx.containers.dirty > 0 && Date.now() < end) await sleep(20);
  assert.equal(ctx.containers.dirty, 0);
  await runtime.reopen();
  assert.deepEqual([stateOf(status(kept)), status(kept).exitCode], ['exited', 5]);
  assert.equal(runtime.ctx.containers.has(ending), false);
  await removeSandbox(runtime.ctx, pod);
});

test('G-10: an exit on a full disk is known though server and monitor die over it', {
  skip,
}, async (t) => {
  const { disk, runtime } = await onSmallDisk(t);
  const pod = await runtime.pod();
  const ends = ['sh', '-c', 'while ! test -e /dev/shm/over; do sleep 0.02; done; exit 5'];
  const id = await runtime.create(pod, { command: ends });
  await startContainer(runtime.ctx, id);
  const { pid } = runtime.ctx.containers.get(id).status.get();
  const monitor = runtime.ctx.monitors.get(pod).connection.pid;
  fill(disk);
  await runtime.reopen(async () => {
    // What the monitor will not do any more is announce the exit, or write the record again.
    closeSync(openSync(`/proc/${pid}/root/dev/shm/over`, 'w'));
    while (existsSync(`/proc/${pid}`)) await sleep(5);
    process.kill(monitor, 'SIGKILL');
  });
  const { exitCode, reason } = runtime.ctx.containers.get(id).status.get();
  assert.deepEqual([exitCode, reason], [5, 'Error']);
  rmSync(join(disk, 'filler'));
  await removeSandbox(runtime.ctx, pod);
});
