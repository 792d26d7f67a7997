import assert from 'node:assert/strict';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Change } from '../../src/store/backend.ts';
import { Journal } from '../../src/store/journal.ts';
import { decodeFrames, encodeFrame } from '../../src/store/journal-frame.ts';
import { unseal } from '../../src/store/seal.ts';
import { diskFull, FaultyBackend, scratch } from '../helpers/store.ts';

const put = (key: string, value: string): Change => ({ key, value: Buffer.from(value) });
const contents = (journal: Journal): Record<string, string> =>
  Object.fromEntries(
    [...journal.load('')]
      .map(([k, v]) => [k, v.toString()] as const)
      .filter(([k]) => k[0] !== '\u0001'),
  );

const valueIn = (engine: FaultyBackend, key: string) =>
  unseal(key, engine.entries.get(key) ?? Buffer.alloc(0))?.value.toString();

test('a commit is there after a death before the engine has it', async (t) => {
  const dir = scratch(t);
  const engine = new FaultyBackend();
  engine.failCommit = diskFull;
  const dying = new Journal(dir, engine);
  await dying.commit([put('a', '1'), put('b', '2')]);
  await dying.commit([put('a', '3'), { key: 'b', value: undefined }]);
  // The file was synced, so that this is durable without the engine, too.
  await dying.flushed();
  await dying.close();
  assert.equal(engine.entries.size, 0);

  engine.failCommit = undefined;
  const next = new Journal(dir, engine);
  assert.deepEqual(contents(next), { a: '3' });
  await next.commit([put('c', '4')]);
  await next.close();
  assert.equal(valueIn(engine, 'a'), '3');
  assert.equal(valueIn(engine, 'c'), '4');
});

test('loss of power: a torn frame ends the journal, and nothing after it comes back later', async (t) => {
  const dir = scratch(t);
  const engine = new FaultyBackend();
  engine.failCommit = diskFull;
  const first = new Journal(dir, engine);
  for (const n of [1, 2, 3, 4]) await first.commit([put(`k${n}`, `v${n}`)]);
  await first.close();
  const path = join(dir, 'journal.0');
  const file = readFileSync(path);
  const frames = decodeFrames(file);
  assert.equal(frames.length, 4);
  file[(frames[0]?.end ?? 0) + 15] = 0xee;
  writeFileSync(path, file);

  const second = new Journal(dir, engine);
  assert.deepEqual(contents(second), { k1: 'v1' });
  await second.commit([put('k2', 'w2')]);
  await second.close();
  const third = new Journal(dir, engine);
  assert.deepEqual(contents(third), { k1: 'v1', k2: 'w2' });
  await third.close();
});

test('a damaged commit that was durable is told, and costs no other', async (t) => {
  const dir = scratch(t);
  const engine = new FaultyBackend();
  engine.failCommit = diskFull;
  const first = new Journal(dir, engine);
  for (const n of [1, 2, 3]) await first.commit([put(`k${n}`, `v${n}`)]);
  await first.flushed();
  await first.commit([put('k4', 'v4')]);
  await first.close();
  const path = join(dir, 'journal.0');
  const whole = readFileSync(path);
  const [start = 0, end = 0] = decodeFrames(whole).map((frame) => frame.end);
  for (let at = start; at < end; at += 1) {
    const file = Buffer.from(whole);
    file[at] = (file[at] ?? 0) ^ 0x10;
    writeFileSync(path, file);
    const next = new Journal(dir, engine);
    assert.deepEqual(contents(next), { k1: 'v1', k3: 'v3', k4: 'v4' }, `byte ${at}`);
    assert.deepEqual(
      next.problems.map(({ key, outcome }) => [key, outcome]),
      [[path, 'lost']],
    );
    assert.match(next.problems[0]?.error.message ?? '', /journal\.0: commit 2 is damaged/);
    await next.close();
  }
});

test('an engine that has lost commits gets what the files still have', async (t) => {
  const dir = scratch(t);
  const engine = new FaultyBackend();
  const first = new Journal(dir, engine);
  for (const n of [1, 2, 3]) await first.commit([put(`k${n}`, `v${n}`)]);
  await first.drained();
  await first.commit([put('k1', 'w1')]);
  await first.close();
  engine.entries.clear();
  const next = new Journal(dir, engine, true);
  // The first file was written over: of what was in it, the rest is there.
  assert.deepEqual(contents(next), { k1: 'w1', k2: 'v2', k3: 'v3' });
  await next.drained();
  await next.close();
  const third = new Journal(dir, engine);
  assert.deepEqual(contents(third), { k1: 'w1', k2: 'v2', k3: 'v3' });
  assert.deepEqual(third.problems, []);
  await third.close();
});

test('neither file grows while the engine keeps up', async (t) => {
  const dir = scratch(t);
  const engine = new FaultyBackend();
  const journal = new Journal(dir, engine);
  for (let n = 0; n < 3000; n += 1) {
    await journal.commit([put(`k${n % 10}`, 'x'.repeat(200))]);
    if (n % 50 === 0) void journal.flushed();
    if (n % 10 === 0) await new Promise(setImmediate);
  }
  assert.ok(statSync(join(dir, 'journal.0')).size <= 128 * 1024);
  assert.ok(statSync(join(dir, 'journal.1')).size <= 128 * 1024);
  await journal.close();
});

test('any history of commits, flushes, failures and deaths ends in what was committed', async (t) => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('put'), key: fc.constantFrom('a', 'b', 'c'), value: fc.string() }),
    fc.record({ do: fc.constant('remove'), key: fc.constantFrom('a', 'b', 'c') }),
    fc.record({ do: fc.constantFrom('flush', 'fail', 'heal', 'die') }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const dir = scratch(t);
      const engine = new FaultyBackend();
      const model = new Map<string, string>();
      let journal = new Journal(dir, engine);
      for (const s of steps) {
        if (s.do === 'put' && 'value' in s) {
          await journal.commit([put(s.key, s.value)]);
          model.set(s.key, s.value);
        } else if (s.do === 'remove' && 'key' in s) {
          await journal.commit([{ key: s.key, value: undefined }]);
          model.delete(s.key);
        } else if (s.do === 'flush') {
          await journal.flushed().catch(() => {});
        } else if (s.do === 'fail' || s.do === 'heal') {
          engine.failCommit = s.do === 'fail' ? diskFull : undefined;
        } else {
          const whole = engine.failCommit;
          engine.failCommit = diskFull;
          await journal.close();
          engine.failCommit = whole;
          journal = new Journal(dir, engine);
        }
        assert.deepEqual(contents(journal), Object.fromEntries(model));
      }
      await journal.close();
    }),
    { numRuns: 60 },
  );
});

test('G-6: while the disk does not answer, commits are taken in their order, however large', async (t) => {
  const dir = scratch(t);
  const engine = new FaultyBackend();
  let answer = () => {};
  engine.gate = new Promise((resolve) => {
    answer = resolve;
  });
  const journal = new Journal(dir, engine);
  await journal.commit([put('a', 'first')]);
  // More than the journal's patience, once the engine is asked.
  await new Promise((resolve) => setTimeout(resolve, 300));
  const taken: number[] = [];
  const commits = Array.from({ length: 100 }, (_, n) =>
    journal.commit([put('a', String(n)), put(`k${n}`, 'x')]).then(() => taken.push(n)),
  );
  assert.deepEqual(contents(journal), { a: 'first' }, 'no write has been waited for yet');
  const large = 'y'.repeat(200_000);
  commits.push(journal.commit([put('b', large)]).then(() => taken.push(commits.length - 1)));
  await Promise.all(commits);
  assert.deepEqual(taken, [...taken.keys()]);
  const expected = contents(journal);
  assert.equal(expected.a, '99');
  assert.equal(expected.b, large);
  const killed = new FaultyBackend();
  killed.failCommit = diskFull;
  const after = new Journal(dir, killed);
  assert.deepEqual(contents(after), expected, 'a death now would lose nothing');
  await after.close();
  answer();
  await journal.drained();
  await journal.commit([put('a', 'last')]);
  await journal.close();
  const next = new Journal(dir, engine);
  assert.deepEqual(contents(next), { ...expected, a: 'last' });
  await next.close();
});

test('a frame comes back as it was written', () => {
  const change = fc.record({
    key: fc.string({ minLength: 1, maxLength: 40 }),
    value: fc.option(
      fc.uint8Array({ maxLength: 300 }).map((a) => Buffer.from(a)),
      { nil: undefined },
    ),
  });
  fc.assert(
    fc.property(fc.array(change), fc.nat(), fc.nat(), (changes, sequence, durable) => {
      const bytes = encodeFrame({ sequence, durable, changes });
      const clean = changes.map(({ key, value }) => ({ key: Buffer.from(key).toString(), value }));
      const [frame] = decodeFrames(Buffer.concat([bytes, Buffer.alloc(64)]));
      assert.deepEqual(frame, { sequence, durable, changes: clean, end: bytes.length });
      for (const cut of [1, bytes.length - 1]) {
        assert.deepEqual(decodeFrames(bytes.subarray(0, cut)), []);
      }
    }),
  );
});
