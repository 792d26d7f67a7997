import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { lockRoot } from '../../src/store/lock.ts';
import { scratch } from '../helpers/store.ts';

const holder = `
  const { lockRoot } = await import(process.argv[1]);
  await lockRoot(process.argv[2]);
  process.stdout.write('held');
  setInterval(() => {}, 1000);`;

test('a second holder in the same process is refused until the first lets go', async (t) => {
  const root = scratch(t);
  const lock = await lockRoot(root);
  await assert.rejects(lockRoot(root), {
    kind: 'FailedPrecondition',
    reason: 'RootInUse',
    message: `${root} is in use by process ${process.pid}`,
  });
  await lock.release();
  await lock.release();
  await (await lockRoot(root)).release();
});

test('another process is refused by pid, and kill -9 of the holder frees the lock', async (t) => {
  const root = scratch(t);
  const source = pathToFileURL(join(import.meta.dirname, '../../src/store/lock.ts')).href;
  const args = ['--import', 'tsx', '--input-type=module', '-e', holder, source, root];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  await assert.rejects(lockRoot(root), new RegExp(`in use by process ${child.pid}$`));
  child.kill('SIGKILL');
  await once(child, 'exit');
  const lock = await lockRoot(root);
  await lock.release();
});

test('what a killed holder was starting has the lock for a moment only, and is waited for', async (t) => {
  const root = scratch(t);
  const path = join(root, 'lock');
  const take = (fd: number) => {
    return spawnSync('flock', ['-x', '-n', '3'], { stdio: ['ignore', 'ignore', 'ignore', fd] });
  };
  const [fd, other] = [openSync(path, 'a+'), openSync(path, 'a+')];
  assert.equal(take(fd).status, 0);
  spawn('sleep', ['0.3'], { stdio: ['ignore', 'ignore', 'ignore', fd] });
  closeSync(fd);
  assert.equal(take(other).status, 1, 'it is held');
  closeSync(other);
  await (await lockRoot(root)).release();
});
