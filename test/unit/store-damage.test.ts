import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { armFailpoints } from '../../src/failpoint.ts';
import type { Change } from '../../src/store/backend.ts';
import { LmdbBackend } from '../../src/store/lmdb-backend.ts';
import { readLmdbFile } from '../../src/store/lmdb-file.ts';
import { openBackend, openStore } from '../../src/store/open.ts';
import { seal, unseal } from '../../src/store/seal.ts';
import { fdCount } from '../helpers/leaks.ts';
import { scratch } from '../helpers/store.ts';

const ROWS = 60;
const text = (n: number) => `${n} `.repeat(n % 7 === 0 ? 1200 : 20 + n);

/** A store of some pages, values over several pages, and lists of free pages. */
async function someStore(t: TestContext): Promise<string> {
  const root = join(scratch(t), 'root');
  const store = await openStore(root);
  const table = store.table('rows');
  for (let round = 0; round < 3; round += 1) {
    await store.transact(() => {
      for (let n = 0; n < ROWS; n += 1) void table.put(`row-${n}`, { n, text: text(n) });
    });
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  await store.close();
  return root;
}

/** Opens it; checks that what it has is what was written; returns how many rows it has. */
async function countRows(root: string, what: string): Promise<number> {
  const store = await openStore(root);
  const table = store.table<{ n: number; text: string }>('rows');
  for (const [key, row] of table.entries()) {
    assert.deepEqual(row, { n: Number(key.slice(4)), text: text(row.n) }, what);
  }
  if (table.size < ROWS) assert.ok(store.problems.length > 0, `${what}: a loss is told`);
  await table.put('row-0', { n: 0, text: text(0) });
  await store.close();
  const again = await openStore(root);
  assert.deepEqual(again.problems, [], `${what}: and told once`);
  await again.close();
  return table.size;
}

test('what lmdb writes is read without it, whatever was done to it', async (t) => {
  const change = fc.record({
    key: fc.tuple(fc.constantFrom('a', 'bé', '\u0001c'), fc.nat(40)).map(([a, n]) => `${a}/${n}`),
    size: fc.option(fc.oneof({ weight: 5, arbitrary: fc.nat(900) }, fc.nat(20_000))),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(change, { maxLength: 40 }), { maxLength: 8 }),
      async (all) => {
        const dir = join(scratch(t), 'lmdb');
        const engine = new LmdbBackend(dir);
        const model = new Map<string, number>();
        for (const commit of all) {
          const changes: Change[] = commit.map(({ key, size }) => ({
            key,
            value: size === null ? undefined : Buffer.alloc(size, 'x'),
          }));
          for (const { key, value } of changes) {
            if (value === undefined) model.delete(key);
            else model.set(key, value.length);
          }
          await engine.commit(changes);
          const { entries, damage } = readLmdbFile(readFileSync(join(dir, 'data.mdb')));
          assert.deepEqual(damage, []);
          const sizes = [...entries].map(([key, value]) => [key, value.length] as const);
          assert.deepEqual(new Map(sizes), model);
        }
        await engine.close();
      },
    ),
    { numRuns: 25 },
  );
});

test('RC-1: a damaged file costs the records that the damage hit, and is kept', async (t) => {
  const root = await someStore(t);
  const path = join(root, 'meta/data.mdb');
  const whole = readFileSync(path);
  // A view of the file: not of an older version of the row, in a page that is free.
  const value = readLmdbFile(whole).entries.get('rows/row-5') ?? Buffer.alloc(0);
  value[value.indexOf('"text":"') + 8] = '6'.charCodeAt(0);
  writeFileSync(path, whole);

  const told: string[] = [];
  const store = await openStore(root, {
    onProblem: ({ outcome, error }) => told.push(`${outcome}: ${error.message}`),
  });
  assert.equal(store.table('rows').size, ROWS - 1);
  assert.equal(told.length, 2);
  assert.match(
    told[0] ?? '',
    /^rebuilt: .*data\.mdb is damaged \(rows\/row-5: .*data\.mdb\.damaged-2/,
  );
  assert.match(told[1] ?? '', /^quarantined: rows\/row-5: not the bytes that were written/);
  const kept = store.table<{ bytes: string }>('quarantine').get('rows/row-5');
  assert.match(Buffer.from(kept?.bytes ?? '', 'base64').toString(), /"text":"6 5/);
  await store.close();
  const [aside = ''] = readdirSync(dirname(path)).filter((name) => name.includes('damaged'));
  assert.deepEqual(readFileSync(join(dirname(path), aside)), whole);
});

test('RC-1: a store opens whatever bytes of its file have changed, and tells what it has lost', async (t) => {
  const root = await someStore(t);
  const path = join(root, 'meta/data.mdb');
  const whole = readFileSync(path);
  const { entries } = readLmdbFile(whole);
  assert.equal(entries.size, ROWS + 1);
  const used = whole.length - 1024 * 1024 > 0 ? whole.length - 1024 * 1024 : whole.length;
  let kept = 0;
  let runs = 0;
  const flip = fc.record({
    // Half of them in the first pages, which lead to the others.
    at: fc.oneof(fc.nat(200), fc.integer({ min: 4096, max: 4300 }), fc.nat(used - 1)),
    bit: fc.nat(7),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(flip, { minLength: 1, maxLength: 3 }), async (flips) => {
      const file = Buffer.from(whole);
      for (const { at, bit } of flips) file[at] = (file[at] ?? 0) ^ (1 << bit);
      const dir = join(scratch(t), 'root');
      mkdirSync(join(dir, 'meta'), { recursive: true });
      writeFileSync(join(dir, 'meta/data.mdb'), file);
      kept += await countRows(dir, JSON.stringify(flips));
      runs += 1;
    }),
    { numRuns: 120 },
  );
  assert.ok(kept > 0.9 * ROWS * runs, `${kept} of ${ROWS * runs} rows are kept`);
});

test('RC-1: a store opens whatever is left of its file', async (t) => {
  const root = await someStore(t);
  const path = join(root, 'meta/data.mdb');
  const whole = readFileSync(path);
  const sizes = [0, 1, 100, 4095, 4096, 8191, 8192, 12_000, 40_960, 100_000, 200_000];
  for (const size of sizes) {
    writeFileSync(path, whole);
    truncateSync(path, size);
    await countRows(root, `${size} bytes`);
  }
  writeFileSync(path, Buffer.alloc(whole.length));
  await countRows(root, 'zeros');
  writeFileSync(path, Buffer.alloc(whole.length, 0xa5));
  await countRows(root, 'noise');
});

test('a value tells whether it is the one that was written under its key', () => {
  fc.assert(
    fc.property(fc.string(), fc.nat(), fc.json(), fc.nat(), (key, sequence, json, place) => {
      const value = Buffer.from(json);
      const sealed = seal(key, sequence, value);
      assert.deepEqual(unseal(key, sealed), { sequence, value });
      assert.equal(unseal(`${key}x`, sealed), undefined);
      const at = 1 + (place % (sealed.length - 1));
      sealed[at] = (sealed[at] ?? 0) ^ 4;
      assert.equal(unseal(key, sealed), undefined);
    }),
  );
});

test('a store without its engine has what the journal has, and says so', async (t) => {
  const root = await someStore(t);
  const meta = join(root, 'meta');
  const { backend } = await openBackend(meta);
  await backend.commit([{ key: 'rows/last', value: Buffer.from('{"v":1,"d":1}') }]);
  await backend.close();
  writeFileSync(join(meta, 'data.mdb'), '');
  const store = await openStore(root);
  assert.equal(store.table('rows').get('last'), 1);
  assert.ok(store.problems.some(({ outcome }) => outcome === 'rebuilt'));
  await store.close();
});

test('RC-1: a file that cannot be read for now is not given up', async (t) => {
  t.after(() => armFailpoints(''));
  const root = await someStore(t);
  for (const point of ['journal.read=EMFILE', 'journal.read=ENOMEM@2', 'lmdb.read=EMFILE']) {
    const before = fdCount(process.pid);
    armFailpoints(point);
    await assert.rejects(openStore(root), /EMFILE|ENOMEM/);
    armFailpoints('');
    assert.equal(fdCount(process.pid), before, point);
  }
  const store = await openStore(root);
  assert.deepEqual(store.problems, []);
  assert.equal(store.table('rows').size, ROWS);
  await store.close();
});

test('RC-1: files that the disk does not give back keep no store from opening', async (t) => {
  t.after(() => armFailpoints(''));
  const root = await someStore(t);
  for (const [point, outcome, left] of [
    ['journal.read=EIO', 'lost', ROWS],
    ['lmdb.read=EIO', 'rebuilt', undefined],
  ] as const) {
    armFailpoints(point);
    const store = await openStore(root);
    armFailpoints('');
    const told = store.problems.filter((problem) => problem.outcome === outcome);
    assert.ok(told.some(({ error }) => /EIO/.test(error.message)));
    const table = store.table('rows');
    if (left !== undefined) assert.equal(table.size, left);
    await table.put('new', 1);
    await store.flushed();
    await store.close();
    const again = await openStore(root);
    assert.deepEqual(again.problems, []);
    assert.equal(again.table('rows').get('new'), 1);
    await again.table('rows').remove('new');
    await again.close();
  }
});
