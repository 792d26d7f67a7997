import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ended, stateOf } from '../../src/store/container-status.ts';
import { openContainers } from '../../src/store/containers.ts';
import { newId, resolveId } from '../../src/store/ids.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import { NameRegistry } from '../../src/store/names.ts';
import { openStore } from '../../src/store/open.ts';
import { openSandboxes } from '../../src/store/sandboxes.ts';
import {
  containerRecord,
  diskFull,
  faultyStore,
  sandboxRecord,
  scratch,
} from '../helpers/store.ts';

test('ids are 64 hex digits and do not repeat', () => {
  const ids = new Set(Array.from({ length: 100 }, newId));
  assert.equal(ids.size, 100);
  for (const id of ids) assert.match(id, /^[0-9a-f]{64}$/);
});

test('SS-11: an id resolves by unique prefix; empty and ambiguous ones are refused', () => {
  const ids = new Map(['abc1', 'abc2', 'abd', 'x', 'xy'].map((id) => [id, 0]));
  assert.equal(resolveId('container', ids, 'abd'), 'abd');
  assert.equal(resolveId('container', ids, 'abc1'), 'abc1');
  assert.equal(resolveId('container', ids, 'x'), 'x', 'a full id beats a longer one');
  assert.equal(resolveId('container', ids, 'zz'), undefined);
  assert.throws(() => resolveId('container', ids, ''), { kind: 'InvalidArgument' });
  assert.throws(() => resolveId('container', ids, 'ab'), {
    kind: 'InvalidArgument',
    message: 'container id "ab" is ambiguous: abc1, abc2, abd',
  });
  const many = new Map(Array.from({ length: 9 }, (_, i) => [`a${i}`, 0]));
  assert.throws(() => resolveId('container', many, 'a'), /a0, a1, a2, a3, a4 and 4 more$/);
});

test('SS-11: a duplicate is refused, also while the first is being added', async () => {
  const { store } = faultyStore();
  const containers = openContainers(store);
  const results = await Promise.allSettled([
    containers.add(containerRecord('c1')),
    containers.add(containerRecord('c1')),
  ]);
  assert.deepEqual(
    results.map((r) => r.status),
    ['fulfilled', 'rejected'],
  );
  await assert.rejects(containers.add(containerRecord('c1')), { kind: 'AlreadyExists' });
  assert.equal(containers.list().length, 1);
  assert.equal(containers.get('c').record.id, 'c1');
  assert.throws(() => containers.get('d'), { kind: 'NotFound' });
  assert.equal(containers.find('d'), undefined);
});

test('a container that could not be made durable is not there', async () => {
  const { backend, store } = faultyStore();
  const containers = openContainers(store);
  backend.failFlush = diskFull;
  await assert.rejects(containers.add(containerRecord('c1')), { kind: 'ResourceExhausted' });
  backend.failFlush = undefined;
  backend.failCommit = diskFull;
  await assert.rejects(containers.add(containerRecord('c2')), { kind: 'ResourceExhausted' });
  backend.failCommit = undefined;
  assert.deepEqual(containers.list(), []);
  for (let i = 0; containers.dirty > 0 && i < 100; i += 1) await sleep(20);
  assert.deepEqual([...backend.entries.keys()], []);
});

test('a container is not written before what belongs to it is made', async () => {
  const { backend, store } = faultyStore();
  const containers = openContainers(store);
  const broken = containers.add(containerRecord('c1'), Promise.reject(new Error('no room')));
  await assert.rejects(broken, /no room/);
  let made = () => {};
  const making = new Promise<void>((resolve) => {
    made = resolve;
  });
  const added = containers.add(containerRecord('c1'), making);
  await sleep(5);
  assert.equal(containers.has('c1'), false);
  assert.deepEqual([...backend.entries.keys()], []);
  await assert.rejects(containers.add(containerRecord('c1')), { kind: 'AlreadyExists' });
  made();
  assert.equal((await added).record.id, 'c1');
  assert.equal(backend.entries.size, 2);
});

test('a restart finds records and status, and has forgotten the flags', async (t) => {
  const root = scratch(t);
  const first = await openStore(root);
  const before = openContainers(first);
  const { status } = await before.add(containerRecord('run'));
  status.update((s) => ({ ...s, starting: true }));
  await status.updateSync((s) => ({ ...s, startedAt: 5n, pid: 77 }));
  const done = await before.add(containerRecord('done'));
  await done.status.settle((s) =>
    ended(s, { finishedAt: 9n, exitCode: 128, reason: 'StartError' }),
  );
  await before.add(containerRecord('gone'));
  await before.remove('gone');
  await before.remove('gone');
  await first.close();

  const second = await openStore(root);
  const after = openContainers(second);
  assert.deepEqual(
    after
      .list()
      .map((c) => c.record.id)
      .sort(),
    ['done', 'run'],
  );
  assert.deepEqual(after.get('run').record, containerRecord('run'));
  assert.equal(stateOf(after.get('run').status.get()), 'running');
  assert.equal(after.get('run').status.get().starting, false);
  assert.equal(after.get('done').status.get().exitCode, 128);
  await second.close();
});

test('a container whose status is lost is UNKNOWN, and can be ended and removed', async () => {
  const { backend, store } = faultyStore();
  await openContainers(store).add(containerRecord('c'));
  backend.entries.delete('container-status/c');
  const containers = openContainers(new MemoryStore(backend));
  const { status } = containers.get('c');
  assert.equal(stateOf(status.get()), 'unknown');
  await status.settle((s) => ended(s, { finishedAt: 2n, exitCode: 255, reason: 'Unknown' }));
  assert.equal(stateOf(status.get()), 'exited');
  await containers.remove('c');
  assert.equal(backend.entries.size, 0);
});

test('SS-9, G-5: removal works on a full disk and reaches the disk later', async () => {
  const { backend, store } = faultyStore();
  const containers = openContainers(store);
  await containers.add(containerRecord('c'));
  backend.failCommit = diskFull;
  await containers.remove('c');
  assert.equal(containers.has('c'), false);
  assert.equal(containers.dirty, 1);
  assert.equal(backend.entries.size, 2);
  backend.failCommit = undefined;
  for (let i = 0; containers.dirty > 0 && i < 100; i += 1) await sleep(20);
  assert.equal(backend.entries.size, 0, 'record and status went as one');
});

test('SB-9: a stop of a pod is committed, and waits for no flush', async () => {
  const { backend, store } = faultyStore();
  const sandbox = await openSandboxes(store).add(sandboxRecord('p'));
  await sandbox.ready({ ...sandbox.record, monitorPid: 42 });
  let flushes = 0;
  backend.failFlush = () => {
    flushes += 1;
    return diskFull();
  };
  assert.equal(await sandbox.stopped(7n), true);
  assert.equal(sandbox.state, 'notReady');
  assert.deepEqual([flushes, sandbox.dirty], [0, false]);
  const again = openSandboxes(new MemoryStore(backend)).get('p');
  assert.equal(again.record.stoppedAt, 7n);
});

test('sandboxes: made, ready, stopped; the first stop stays', async (t) => {
  const root = scratch(t);
  const first = await openStore(root);
  const sandboxes = openSandboxes(first);
  const sandbox = await sandboxes.add(sandboxRecord('p1'));
  assert.equal(sandbox.state, 'notReady');
  await sandbox.ready({ ...sandbox.record, monitorPid: 42, network: { ips: ['10.0.0.2'] } });
  assert.equal(sandbox.state, 'ready');
  await sandboxes.add(sandboxRecord('p2'));
  await first.close();

  const second = await openStore(root);
  const again = openSandboxes(second);
  const found = again.get('p1');
  assert.equal(found.state, 'ready');
  assert.deepEqual(found.record.network, { ips: ['10.0.0.2'] });
  await found.stopped(7n);
  await found.stopped(8n);
  assert.equal(found.record.stoppedAt, 7n);
  assert.equal(found.state, 'notReady');
  await assert.rejects(found.ready({ ...found.record, stoppedAt: 0n }), {
    kind: 'FailedPrecondition',
  });
  await again.remove('p1');
  assert.deepEqual(
    again.list().map((s) => s.record.id),
    ['p2'],
  );
  await second.close();
});

test('SS-13: one holder of a name; released by name or id; rebuilt without failing on a clash', () => {
  const names = new NameRegistry('container');
  names.reserve('web_0', 'a');
  names.reserve('web_0', 'a');
  assert.throws(() => names.reserve('web_0', 'b'), {
    kind: 'AlreadyExists',
    message: 'container name "web_0" is reserved for a',
  });
  assert.throws(() => names.reserve('web_1', 'a'), { kind: 'AlreadyExists' });
  names.release('web_0');
  names.release('web_0');
  names.reserve('web_0', 'b');
  names.releaseId('b');
  names.releaseId('b');
  assert.equal(names.holder('web_0'), undefined);
  const records = [
    { id: '1', name: 'x' },
    { id: '2', name: 'x' },
    { id: '3', name: 'y' },
  ];
  assert.deepEqual(names.rebuild(records), [{ id: '2', name: 'x' }]);
  assert.deepEqual([names.holder('x'), names.holder('y')], ['1', '3']);
});
