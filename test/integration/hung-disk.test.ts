/** A disk that stops to answer: an ext4 whose image lies on a file system that is frozen. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeBusyboxLayout } from '../../scripts/busybox-image.mjs';
import { Runtime } from '../../src/index.ts';
import { openStore } from '../../src/store/open.ts';

/** How long the disk is asked in vain: ext4 ends a transaction, and with it its writers, after 5 s. */
const HANGS_MS = 9_000;
/** A disk that is thawed by another process, since this one may hang with it. */
const THAW_S = 30;

const run = (command: string, ...args: string[]) => spawnSync(command, args, { encoding: 'utf8' });

interface Disk {
  path: string;
  freeze(): void;
  thaw(): void;
}

/** Skips the test where no loop device can be had. */
function disk(t: TestContext): Disk | undefined {
  const dir = mkdtempSync(join(tmpdir(), 'coracle-hung-'));
  const [outer, inner] = [join(dir, 'outer'), join(dir, 'inner')];
  let watchdog: ChildProcess | undefined;
  const thaw = () => {
    run('fsfreeze', '-u', outer);
    if (watchdog?.pid) process.kill(-watchdog.pid);
    watchdog = undefined;
  };
  t.after(() => {
    thaw();
    // What another process may have opened of it meanwhile does not matter.
    for (const at of [inner, outer]) run('umount', '-l', at);
    rmSync(dir, { recursive: true });
  });
  for (const [image, at, size] of [
    [join(dir, 'outer.img'), outer, 96],
    [join(outer, 'inner.img'), inner, 48],
  ] as const) {
    mkdirSync(at);
    writeFileSync(image, '');
    truncateSync(image, size * 1024 * 1024);
    // With all its blocks: what is frozen cannot give any.
    if (at === inner) run('dd', 'if=/dev/zero', `of=${image}`, 'bs=1M', `count=${size}`);
    const made = run('mkfs.ext4', '-q', image);
    const mounted = made.status === 0 ? run('mount', '-o', 'loop', image, at) : made;
    if (mounted.status !== 0) {
      t.skip(`no loop device: ${mounted.stderr}`);
      return undefined;
    }
  }
  return {
    path: inner,
    freeze: () => {
      watchdog = spawn('sh', ['-c', `sleep ${THAW_S}; fsfreeze -u ${outer}`], {
        stdio: 'ignore',
        detached: true,
      });
      const { status, stderr } = run('fsfreeze', '-f', outer);
      assert.equal(status, 0, stderr);
    },
    thaw,
  };
}

test('G-6: a disk that hangs holds up what is written, and nobody who reads', async (t) => {
  const { path, freeze, thaw } = disk(t) ?? {};
  if (path === undefined) return;
  const store = await openStore(join(path, 'root'));
  const table = store.table('rows');
  // Together more than the journal has allotted.
  const filler = 'x'.repeat(4096);
  await table.put('row', { n: 0, filler });
  await store.flushed();
  freeze?.();
  const commits: Promise<void>[] = [];
  let longest = 0;
  const begin = performance.now();
  for (let last = begin; last - begin < HANGS_MS; ) {
    commits.push(table.put('row', { n: commits.length + 1, filler }));
    await sleep(100);
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  }
  const shown = table.get('row') as { n: number };
  assert.ok(shown.n < commits.length, 'the disk did hang');
  assert.ok(longest < 2000, `this thread hung for ${longest} ms`);
  thaw?.();
  await Promise.all(commits);
  await store.flushed();
  await store.close();
  const again = await openStore(join(path, 'root'));
  assert.deepEqual(again.table('rows').get('row'), { n: commits.length, filler });
  await again.close();
});

test('EX-2: an exit is known while the disk of its writable layer hangs', async (t) => {
  const { path, freeze, thaw } = disk(t) ?? {};
  if (path === undefined) return;
  await makeBusyboxLayout(join(path, 'layout'), { name: 'test.local/busybox:1' });
  const state = mkdtempSync(join(tmpdir(), 'coracle-hung-state-'));
  t.after(() => rmSync(state, { recursive: true }));
  const runtime = await Runtime.open({ root: join(path, 'root'), state });
  try {
    const [image = ''] = await runtime.images.import(join(path, 'layout'));
    await using pod = await runtime.runPod({ namespaces: { network: 'none' } });
    const writes = 'while :; do date >> /written; sleep 0.01; done';
    const container = await pod.run({ image, command: ['sh', '-c', writes] });
    await sleep(500);
    freeze?.();
    await container.kill('SIGKILL');
    const { exitCode } = await container.wait({
      durable: false,
      signal: AbortSignal.timeout(HANGS_MS),
    });
    assert.equal(exitCode, 137);
    assert.equal(container.info().state, 'running', 'the disk does hang');
    thaw?.();
    assert.equal((await container.wait()).exitCode, 137);
  } finally {
    thaw?.();
    await runtime.close();
  }
});
