import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { LmdbBackend } from '../../src/store/lmdb-backend.ts';
import { openStore } from '../../src/store/open.ts';
import type { StoreProblem } from '../../src/store/store.ts';
import type { Codec } from '../../src/store/table.ts';
import { diskFull, faultyStore, scratch } from '../helpers/store.ts';

interface Row {
  n: number;
  tags?: string[];
}

test('records survive a close and a new open, bigints and odd text included', async (t) => {
  const root = scratch(t);
  const rows = {
    a: { big: -12345678901234567890n, text: '\0n12', nested: { list: [1n, '\0', '\0s', 'x\0y'] } },
    'docker.io/library/x:é': { big: 0n, text: '', nested: { list: [] } },
  };
  const first = await openStore(root);
  for (const [key, row] of Object.entries(rows)) await first.table('rows').put(key, row);
  await first.close();
  const second = await openStore(root);
  assert.deepEqual(Object.fromEntries(second.table('rows').entries()), rows);
  assert.deepEqual(
    [...second.table('row').entries()],
    [],
    'a table with a shorter name is another',
  );
  await second.close();
});

test('SS-7: readers get a frozen copy', async () => {
  const { store } = faultyStore();
  const table = store.table<Row>('rows');
  const mine: Row = { n: 1, tags: ['x'] };
  await table.put('a', mine);
  mine.tags?.push('y');
  const seen = table.get('a');
  assert.deepEqual(seen, { n: 1, tags: ['x'] });
  assert.throws(() => seen?.tags?.push('z'), TypeError);
  assert.throws(() => Object.assign(seen ?? {}, { n: 2 }), TypeError);
});

test('SS-3: a put that cannot be encoded or written changes nothing', async () => {
  const { backend, store } = faultyStore();
  const table = store.table<Row>('rows');
  await table.put('a', { n: 1 });
  const onDisk = new Map(backend.entries);
  backend.failCommit = diskFull;
  await assert.rejects(table.put('a', { n: 2 }), { kind: 'ResourceExhausted', reason: 'DiskFull' });
  await assert.rejects(table.remove('a'), { kind: 'ResourceExhausted' });
  backend.failCommit = () => Object.assign(new Error('i/o'), { code: 'EIO' });
  await assert.rejects(table.put('b', { n: 2 }), { kind: 'Unavailable' });
  backend.failCommit = undefined;
  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  await assert.rejects(table.put('a', cycle as unknown as Row), TypeError);
  await assert.rejects(table.put('', { n: 3 }), TypeError);
  assert.deepEqual([...table.entries()], [['a', { n: 1 }]]);
  assert.deepEqual(backend.entries, onDisk);
});

test('a put shows only once it is committed', async () => {
  const { backend, store } = faultyStore();
  const table = store.table<Row>('rows');
  let open = () => {};
  backend.gate = new Promise((resolve) => {
    open = resolve;
  });
  const put = table.put('a', { n: 1 });
  await new Promise(setImmediate);
  assert.equal(table.has('a'), false);
  open();
  await put;
  assert.equal(table.has('a'), true);
});

test('transact: several tables, all or none, one commit', async () => {
  const { backend, store } = faultyStore();
  const a = store.table<Row>('a');
  const b = store.table<Row>('b');
  await b.put('old', { n: 0 });
  const before = backend.commits;
  await store.transact(() => {
    void a.put('x', { n: 1 });
    void b.put('y', { n: 2 });
    void b.remove('old');
    assert.equal(a.has('x'), false, 'reads see the state before');
  });
  assert.equal(backend.commits, before + 1);
  assert.deepEqual(
    [...a.entries(), ...b.entries()],
    [
      ['x', { n: 1 }],
      ['y', { n: 2 }],
    ],
  );

  backend.failCommit = diskFull;
  const failing = store.transact(() => {
    void a.put('x', { n: 7 });
    void b.remove('y');
  });
  await assert.rejects(failing, { kind: 'ResourceExhausted' });
  backend.failCommit = undefined;
  const throwing = store.transact(() => {
    void a.remove('x');
    throw new Error('no');
  });
  await assert.rejects(throwing, /no/);
  const unwritable = store.transact(() => {
    void a.put('x', { n: 8 });
    void b.put('', { n: 9 });
  });
  await assert.rejects(unwritable, /a key has 1 to/);
  const asynchronous = store.transact(
    // @ts-expect-error an async function is no transaction
    async () => {
      void a.remove('x');
    },
  );
  await assert.rejects(asynchronous, /synchronous/);
  assert.deepEqual(
    [...a.entries(), ...b.entries()],
    [
      ['x', { n: 1 }],
      ['y', { n: 2 }],
    ],
  );
});

test('SS-6: a record of an unknown version is kept, reported by table and key, and invisible', async (t) => {
  const root = scratch(t);
  const codec = (version: number): Codec<Row> => ({
    version,
    encode: (value) => value,
    decode: (data) => data as Row,
  });
  const newer = await openStore(root);
  await newer.table('rows', codec(9)).put('a', { n: 9 });
  await newer.close();

  const seen: StoreProblem[] = [];
  const older = await openStore(root, { onProblem: (problem) => seen.push(problem) });
  assert.equal(older.table('rows', codec(1)).size, 0);
  assert.equal(seen.length, 1);
  assert.deepEqual(older.problems, seen);
  assert.equal(seen[0]?.outcome, 'kept');
  assert.equal(seen[0]?.error.kind, 'DataLoss');
  assert.match(seen[0]?.error.message ?? '', /rows\/a: record version 9 is unknown/);
  await older.close();

  const again = await openStore(root);
  assert.deepEqual(again.table('rows', codec(9)).get('a'), { n: 9 });
  await again.close();
});

test('a damaged record is set aside and does not keep the store from opening', async (t) => {
  const root = scratch(t);
  const first = await openStore(root);
  await first.table<Row>('rows').put('good', { n: 1 });
  await first.close();
  const raw = new LmdbBackend(join(root, 'meta'));
  await raw.commit([
    { key: 'rows/torn', value: Buffer.from('{"v":1,"d":{') },
    { key: 'rows/bare', value: Buffer.from('17') },
    { key: 'rows/binary', value: Buffer.from([0, 255, 254]) },
  ]);
  await raw.close();

  const second = await openStore(root);
  assert.deepEqual([...second.table<Row>('rows').entries()], [['good', { n: 1 }]]);
  assert.deepEqual(second.problems.map((p) => [p.table, p.key, p.outcome]).sort(), [
    ['rows', 'bare', 'quarantined'],
    ['rows', 'binary', 'quarantined'],
    ['rows', 'torn', 'quarantined'],
  ]);
  await second.close();

  const third = await openStore(root);
  assert.equal(third.table<Row>('rows').size, 1);
  assert.deepEqual(third.problems, []);
  const kept = third.table<{ key: string; bytes: string }>('quarantine').get('rows/binary');
  assert.deepEqual(Buffer.from(kept?.bytes ?? '', 'base64'), Buffer.from([0, 255, 254]));
  await third.close();
});

const writer = `
  const { openStore } = await import(process.argv[1]);
  const store = await openStore(process.argv[2]);
  const table = store.table('rows');
  for (let n = 0; ; n += 1) {
    await store.transact(() => { table.put('k' + n, { n }); table.put('last', { n }); });
    if (n % 7 === 0) await store.flushed();
    process.stdout.write(n + '\\n');
    if (n % 50 === 0) await new Promise(setImmediate);
  }`;

test('kill -9 of a writer: whatever was committed is there, no transaction in halves', async (t) => {
  const root = scratch(t);
  const source = pathToFileURL(join(import.meta.dirname, '../../src/store/open.ts')).href;
  for (let round = 0; round < 3; round += 1) {
    const args = ['--import', 'tsx', '--input-type=module', '-e', writer, source, root];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let acknowledged = -1;
    const lines = createInterface({ input: child.stdout });
    lines.on('line', (line) => {
      acknowledged = Number(line);
      if (acknowledged === 400 + round * 37) child.kill('SIGKILL');
    });
    await Promise.all([once(child, 'exit'), once(lines, 'close')]);
    assert.ok(acknowledged >= 400, 'the writer got that far');
    const store = await openStore(root);
    const table = store.table<Row>('rows');
    for (let n = 0; n <= acknowledged; n += 1) assert.deepEqual(table.get(`k${n}`), { n });
    const last = table.get('last')?.n ?? -1;
    assert.ok(last >= acknowledged);
    assert.ok(table.has(`k${last}`));
    assert.deepEqual(store.problems, []);
    await store.close();
  }
});
