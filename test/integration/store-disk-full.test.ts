import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmdirSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ended, stateOf } from '../../src/store/container-status.ts';
import { openContainers } from '../../src/store/containers.ts';
import { openStore } from '../../src/store/open.ts';
import { containerRecord } from '../helpers/store.ts';

const skip = process.getuid?.() === 0 ? false : 'mounting a tmpfs needs root';

/** A file system of 4 MB. */
function smallDisk(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'coracle-disk-'));
  // One hook, since hooks run in the order of their registration.
  t.after(() => {
    spawnSync('umount', [dir]);
    rmdirSync(dir);
  });
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'coracle-test', dir]);
  assert.equal(mounted.status, 0, String(mounted.stderr));
  return dir;
}

/** Takes all space that is left; returns how to give it back. */
function fill(disk: string): () => void {
  const path = join(disk, 'filler');
  const fd = openSync(path, 'w');
  for (const size of [4096, 1]) {
    try {
      for (;;) writeSync(fd, Buffer.alloc(size, 1));
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
    }
  }
  closeSync(fd);
  return () => rmSync(path);
}

test('G-5: on a full disk containers exit and are removed, new ones are refused', {
  skip,
}, async (t) => {
  const disk = smallDisk(t);
  const store = await openStore(disk);
  const containers = openContainers(store);
  const spec = { linux: {}, padding: 'x'.repeat(4000) } as never;
  for (let n = 0; n < 60; n += 1) {
    const { status } = await containers.add(containerRecord(`c${n}`, { spec }));
    await status.updateSync((s) => ({ ...s, startedAt: 5n, pid: 100 + n }));
  }
  const empty = fill(disk);
  let refused = 0;
  for (let n = 60; n < 400 && refused < 20; n += 1) {
    await containers.add(containerRecord(`c${n}`, { spec })).catch((error: { kind: string }) => {
      assert.equal(error.kind, 'ResourceExhausted');
      refused += 1;
    });
  }
  assert.equal(refused, 20);
  for (let n = 0; n < 60; n += 1) {
    const { status } = containers.get(`c${n}`);
    await status.settle((s) => ended(s, { finishedAt: 9n, exitCode: n, reason: 'Error' }));
    assert.equal(stateOf(status.get()), 'exited');
  }
  for (let n = 0; n < 30; n += 1) await containers.remove(`c${n}`);
  assert.equal(containers.dirty, 0, 'all of it reached the disk');
  const left = containers.list().length;
  await store.close();

  const again = await openStore(disk);
  const reopened = openContainers(again);
  assert.equal(reopened.list().length, left);
  assert.deepEqual(again.problems, []);
  assert.equal(reopened.has('c0'), false);
  for (let n = 30; n < 60; n += 1) {
    assert.equal(reopened.get(`c${n}`).status.get().exitCode, n);
  }
  empty();
  await reopened.add(containerRecord('new', { spec }));
  await again.close();
});
