import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { Cell } from '../../src/store/cell.ts';
import {
  type ContainerStatus,
  containerStatusCodec,
  containerStatusRules,
  createdStatus,
  ended,
  type StatusCell,
  stateOf,
} from '../../src/store/container-status.ts';
import { diskFull, type FaultyBackend, faultyStore } from '../helpers/store.ts';

async function cellOf(
  status: ContainerStatus = createdStatus(1n),
): Promise<{ cell: StatusCell; backend: FaultyBackend; disk: () => string | undefined }> {
  const { backend, store } = faultyStore();
  const table = store.table('container-status', containerStatusCodec);
  await table.put('c', status);
  const cell = new Cell(
    status,
    { store, table, key: 'c', what: 'container c' },
    containerStatusRules,
  );
  return { cell, backend, disk: () => backend.entries.get('container-status/c')?.toString() };
}

const running = (s: ContainerStatus): ContainerStatus => ({ ...s, startedAt: 5n, pid: 77 });
const exited = (s: ContainerStatus): ContainerStatus =>
  ended(s, { finishedAt: 9n, exitCode: 3, reason: 'Error' });

test('SS-1: state is derived: unknown, finished, started, created, else unknown', () => {
  for (const createdAt of [0n, 1n]) {
    for (const startedAt of [0n, 2n]) {
      for (const finishedAt of [0n, 3n]) {
        for (const unknown of [false, true]) {
          const expected = unknown
            ? 'unknown'
            : finishedAt
              ? 'exited'
              : startedAt
                ? 'running'
                : createdAt
                  ? 'created'
                  : 'unknown';
          assert.equal(stateOf({ createdAt, startedAt, finishedAt, unknown }), expected);
        }
      }
    }
  }
});

test('SS-2: whatever is tried, only legal moves happen, and disk and memory agree', async () => {
  const legal = new Set(
    ['created running', 'created exited', 'created unknown', 'running exited', 'running unknown']
      .concat(['exited unknown', 'unknown exited'])
      .concat(['created', 'running', 'exited', 'unknown'].map((s) => `${s} ${s}`)),
  );
  const time = fc.constantFrom(0n, 1n, 5n, 9n);
  const change = fc.record(
    {
      createdAt: time,
      startedAt: time,
      finishedAt: time,
      pid: fc.constantFrom(0, 77),
      exitCode: fc.nat(255),
      starting: fc.boolean(),
      removing: fc.boolean(),
      unknown: fc.boolean(),
    },
    { requiredKeys: [] },
  );
  const action = fc.record({
    verb: fc.constantFrom('update', 'updateSync', 'settle'),
    change,
    diskFull: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 20 }), async (actions) => {
      const { cell, backend, disk } = await cellOf();
      for (const { verb, change: patch, diskFull: full } of actions) {
        const before = cell.get();
        const onDisk = disk();
        backend.failCommit = full ? diskFull : undefined;
        let failed = false;
        try {
          if (verb === 'update') cell.update((s) => ({ ...s, ...patch }));
          else if (verb === 'updateSync') await cell.updateSync((s) => ({ ...s, ...patch }));
          else await cell.settle((s) => ({ ...s, ...patch }));
        } catch {
          failed = true;
        }
        const after = cell.get();
        assert.ok(legal.has(`${stateOf(before)} ${stateOf(after)}`));
        if (failed) {
          assert.equal(after, before, 'a refusal publishes nothing');
          assert.equal(disk(), onDisk, 'and writes nothing');
        }
        if (before.startedAt !== 0n) assert.equal(after.startedAt, before.startedAt);
        if (before.finishedAt !== 0n) assert.equal(after.finishedAt, before.finishedAt);
        assert.equal(after.createdAt, before.createdAt);
        assert.ok(after.finishedAt === 0n || after.finishedAt >= after.startedAt);
        if (after.starting && !before.starting) assert.equal(stateOf(before), 'created');
        if (after.removing && !before.removing) assert.notEqual(stateOf(before), 'running');
        const { starting: _s, removing: _r, unknown: _u, ...persisted } = after;
        if (!cell.dirty) {
          const { starting: _1, removing: _2, unknown: _3, ...stored } = storedStatus(disk());
          assert.deepEqual(stored, persisted);
        }
      }
      await cell.close();
    }),
    { numRuns: 200 },
  );
});

function storedStatus(text: string | undefined): ContainerStatus {
  return containerStatusCodec.decode(JSON.parse(text ?? '').d, 1);
}

test('SS-3: an error in the function, the encoding, the write or the flush changes nothing', async () => {
  const { cell, backend, disk } = await cellOf();
  const before = cell.get();
  const onDisk = disk();
  await assert.rejects(
    cell.updateSync(() => {
      throw new Error('in fn');
    }),
    /in fn/,
  );
  const unencodable = {
    toJSON: () => {
      throw new Error('in encode');
    },
  };
  await assert.rejects(
    cell.updateSync((s) => ({ ...s, reason: unencodable as unknown as string })),
    /in encode/,
  );
  backend.failCommit = diskFull;
  await assert.rejects(cell.updateSync(running), { kind: 'ResourceExhausted' });
  backend.failCommit = undefined;
  backend.failFlush = diskFull;
  await assert.rejects(cell.updateSync(running, { durable: true }), { kind: 'ResourceExhausted' });
  assert.equal(cell.get(), before);
  assert.equal(disk(), onDisk);
  assert.equal(cell.dirty, false);
  await cell.updateSync(running);
  assert.equal(stateOf(cell.get()), 'running', 'what did not need the flush needed none');
});

test('SS-3: persist first, publish after', async () => {
  const { cell, backend } = await cellOf();
  let open = () => {};
  backend.gate = new Promise((resolve) => {
    open = resolve;
  });
  const update = cell.updateSync(running);
  await sleep(5);
  assert.equal(stateOf(cell.get()), 'created');
  open();
  await update;
  assert.equal(stateOf(cell.get()), 'running');
});

test('SS-4: update is memory only, at once, and refuses what is persisted', async () => {
  const { cell, backend } = await cellOf();
  const { commits } = backend;
  assert.equal(cell.update((s) => ({ ...s, starting: true })).starting, true);
  assert.equal(cell.get().starting, true);
  assert.throws(() => cell.update(running), TypeError);
  assert.throws(
    // @ts-expect-error an async function cannot be a transaction
    () => cell.update(async (s: ContainerStatus) => s),
    TypeError,
  );
  await assert.rejects(
    // @ts-expect-error an async function cannot be a transaction
    cell.updateSync(async (s: ContainerStatus) => running(s)),
    TypeError,
  );
  assert.equal(backend.commits, commits);
});

test('SS-5: starting, removing and unknown never reach the disk', async () => {
  const { cell, disk } = await cellOf();
  cell.update((s) => ({ ...s, starting: true }));
  await cell.updateSync((s) => ({ ...running(s), unknown: true }));
  assert.equal(stateOf(cell.get()), 'unknown');
  assert.doesNotMatch(disk() ?? '', /starting|removing|unknown/);
  const loaded = storedStatus(disk());
  assert.deepEqual([loaded.starting, loaded.removing, loaded.unknown], [false, false, false]);
  assert.ok((disk() ?? '').length < 250, 'a status commit is small');
});

test('SS-6: a status that is none is refused', () => {
  const good = createdStatus(1n);
  for (const bad of [null, 7, {}, { ...good, startedAt: 5 }, { ...good, exitCode: 'x' }]) {
    assert.throws(() => containerStatusCodec.decode(bad, 1), TypeError);
  }
});

test('SS-7: a snapshot is immutable and stays as it was', async () => {
  const { cell } = await cellOf();
  await cell.updateSync((s) => ({ ...s, user: { uid: 1, gid: 2, groups: [3] } }));
  const seen = cell.get();
  assert.throws(() => seen.user?.groups.push(4), TypeError);
  await cell.updateSync(running);
  assert.equal(stateOf(seen), 'created');
});

test('SS-8: writers of one container are serial, others are not held up', async () => {
  const first = await cellOf();
  const second = await cellOf();
  let open = () => {};
  first.backend.gate = new Promise((resolve) => {
    open = resolve;
  });
  const order: string[] = [];
  const a = first.cell.updateSync((s) => {
    order.push('a');
    return running(s);
  });
  const b = first.cell.updateSync((s) => {
    order.push('b');
    assert.equal(stateOf(s), 'running', 'each sees what the one before published');
    return exited(s);
  });
  await second.cell.updateSync(running);
  assert.equal(stateOf(second.cell.get()), 'running');
  assert.deepEqual(order, ['a']);
  open();
  await Promise.all([a, b]);
  assert.deepEqual(order, ['a', 'b']);
});

test('G-6: reading never waits, and flags set while the disk is slow are not lost', async () => {
  const { cell, backend } = await cellOf();
  cell.update((s) => ({ ...s, starting: true }));
  let open = () => {};
  backend.gate = new Promise((resolve) => {
    open = resolve;
  });
  const slow = cell.updateSync(running);
  await sleep(2);
  assert.equal(stateOf(cell.get()), 'created');
  cell.update((s) => ({ ...s, starting: false }));
  open();
  await slow;
  assert.equal(cell.get().starting, false);
  assert.equal(stateOf(cell.get()), 'running');
});

test('G-5: on a full disk an exit is published, marked dirty, and written when there is room', async () => {
  const { cell, backend, disk } = await cellOf(running(createdStatus(1n)));
  backend.failCommit = diskFull;
  await cell.settle(exited);
  assert.equal(stateOf(cell.get()), 'exited');
  assert.equal(cell.dirty, true);
  assert.equal(storedStatus(disk()).finishedAt, 0n);
  await sleep(250);
  assert.equal(cell.dirty, true, 'it keeps trying');
  backend.failCommit = undefined;
  for (let i = 0; cell.dirty && i < 100; i += 1) await sleep(20);
  assert.equal(cell.dirty, false);
  assert.equal(storedStatus(disk()).finishedAt, 9n);
});

test('EX-2: a disk that hangs holds an exit up for 10 s, and then has it written late', async (t) => {
  const { cell, backend, disk } = await cellOf(running(createdStatus(1n)));
  let answer = () => {};
  backend.gate = new Promise((resolve) => {
    answer = resolve;
  });
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const settled = cell.settle(exited);
  await setImmediate();
  t.mock.timers.tick(9_999);
  await setImmediate();
  assert.equal(stateOf(cell.get()), 'running');
  t.mock.timers.tick(1);
  await settled;
  assert.equal(stateOf(cell.get()), 'exited');
  assert.equal(cell.dirty, true);
  answer();
  for (let i = 0; cell.dirty && i < 100; i += 1) {
    t.mock.timers.tick(1_000);
    await setImmediate();
  }
  assert.equal(cell.dirty, false);
  assert.equal(storedStatus(disk()).finishedAt, 9n);
});

test('EX-10, G-8: the first end stays, and none precedes its start', async () => {
  const { cell } = await cellOf(running(createdStatus(1n)));
  await Promise.all([
    cell.settle((s) => ended(s, { finishedAt: 2n, exitCode: 1, reason: 'Error' })),
    cell.settle((s) => ended(s, { finishedAt: 8n, exitCode: 2, reason: 'Unknown' })),
  ]);
  const { finishedAt, exitCode, reason, pid } = cell.get();
  assert.deepEqual(
    { finishedAt, exitCode, reason, pid },
    { finishedAt: 5n, exitCode: 1, reason: 'Error', pid: 0 },
  );
});

test('what was removed is not written again', async () => {
  const { cell, backend } = await cellOf();
  await cell.close();
  const { commits } = backend;
  await assert.rejects(cell.updateSync(running), { kind: 'NotFound' });
  await cell.settle(exited);
  assert.equal(stateOf(cell.get()), 'exited');
  assert.equal(backend.commits, commits);
});
