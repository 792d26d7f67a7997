import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { CoracleError } from '../../src/errors.ts';
import { ContentStore } from '../../src/image/content-store.ts';
import { digestOf, hexOf } from '../../src/image/digest.ts';
import { download } from '../../src/image/download.ts';
import { scratchDirectory } from '../helpers/image-fixture.ts';
import { type Answer, broken, ScriptedSource } from '../helpers/image-parts.ts';

const SIZE = 10_000;
const bytes = createHash('shake256', { outputLength: SIZE }).update('blob').digest();
const digest = digestOf(bytes);

async function fetch(
  root: string,
  source: ScriptedSource,
  options: { size?: number; signal?: AbortSignal; onHere?: (count: number) => void } = {},
) {
  const content = await ContentStore.open(root);
  const here: number[] = [];
  let received = 0;
  const outcome = await download(
    content,
    source,
    { mediaType: '', digest, size: options.size ?? SIZE },
    {
      what: 'the blob',
      signal: options.signal ?? new AbortController().signal,
      onHere: (count) => {
        here.push(count);
        options.onHere?.(count);
      },
      onReceived: (count) => {
        received += count;
      },
    },
  ).then(
    () => undefined,
    (error: unknown) => error,
  );
  return { content, here, received, outcome, kept: await readdir(join(root, 'ingest')) };
}

function partialOf(root: string, content: Uint8Array): Promise<void> {
  return writeFile(join(root, 'ingest', hexOf(digest)), content);
}

test('a blob whose connection breaks goes on where it was, each byte once', async () => {
  await using dir = await scratchDirectory();
  const cut = { to: 3000, error: broken() };
  const source = new ScriptedSource(bytes, cut, { to: 7500, error: broken() }, {});
  const { content, received, outcome, here, kept } = await fetch(dir.path, source);
  assert.equal(outcome, undefined);
  assert.deepEqual(source.asked, [0, 3000, 7500]);
  assert.equal(received, SIZE);
  assert.deepEqual(here.toSorted((a, b) => a - b).at(-1), SIZE);
  assert.deepEqual(await readFile(content.path(digest)), bytes);
  assert.deepEqual(kept, []);
});

test('where the registry cannot go on it starts again', async () => {
  await using dir = await scratchDirectory();
  const source = new ScriptedSource(bytes, { to: 3000, error: broken() }, { from: 0 });
  const { content, outcome, here } = await fetch(dir.path, source);
  assert.equal(outcome, undefined);
  assert.deepEqual(source.asked, [0, 3000]);
  assert.ok(here.lastIndexOf(0) > here.indexOf(3000), 'the reports went back');
  assert.deepEqual(await readFile(content.path(digest)), bytes);
});

test('what came before a failure, or a kill, is kept for the next pull', async (t) => {
  const gone = new CoracleError('NotFound', 'gone');
  const stop = new AbortController();
  const cases: [string, Answer[], AbortSignal?][] = [
    ['another error', [{ to: 4000, error: broken() }, { error: gone }]],
    ['given up', [{ to: 4000, hold: new Promise(() => {}) }], stop.signal],
  ];
  for (const [name, answers, signal] of cases) {
    await t.test(name, async () => {
      await using dir = await scratchDirectory();
      const first = new ScriptedSource(bytes, ...answers);
      // In the wait for the last chunk.
      const onHere = (count: number) => void (count === 3000 && setTimeout(() => stop.abort(), 20));
      const failed = await fetch(dir.path, first, signal ? { signal, onHere } : {});
      assert.ok(failed.outcome instanceof Error);
      assert.deepEqual(failed.kept, [hexOf(digest)]);
      assert.deepEqual(failed.content.partials(), [digest]);
      assert.equal(failed.content.size(digest), undefined);
      const second = new ScriptedSource(bytes, {});
      const { outcome } = await fetch(dir.path, second);
      assert.equal(outcome, undefined);
      assert.equal(second.asked[0], signal ? 3000 : 4000);
    });
  }
});

test('a partial that is whole needs no request', async () => {
  await using dir = await scratchDirectory();
  await ContentStore.open(dir.path);
  await partialOf(dir.path, bytes);
  const source = new ScriptedSource(bytes);
  const { outcome, content } = await fetch(dir.path, source);
  assert.equal(outcome, undefined);
  assert.deepEqual(source.asked, []);
  assert.equal(content.size(digest), SIZE);
});

test('a partial that is no beginning of the blob is thrown away, once', async (t) => {
  const wrong = Buffer.from(bytes);
  wrong[10] = (wrong[10] ?? 0) ^ 1;
  const cases: [string, Buffer, number[]][] = [
    ['changed', wrong.subarray(0, 5000), [5000, 0]],
    ['changed and whole', wrong, [0]],
    ['too long', Buffer.concat([bytes, bytes]), [0]],
  ];
  for (const [name, partial, asked] of cases) {
    await t.test(name, async () => {
      await using dir = await scratchDirectory();
      await ContentStore.open(dir.path);
      await partialOf(dir.path, partial);
      const source = new ScriptedSource(bytes, {});
      const { outcome, content } = await fetch(dir.path, source);
      assert.equal(outcome, undefined);
      assert.deepEqual(source.asked, asked);
      assert.deepEqual(await readFile(content.path(digest)), bytes);
    });
  }
});

test('a registry with other bytes is DataLoss, at once or after one more try', async (t) => {
  const other = Buffer.alloc(SIZE, 1);
  const cases: [string, Answer[], number[]][] = [
    ['in one piece', [{}], [0]],
    ['in two pieces', [{ to: 2000, error: broken() }, {}, {}], [0, 2000, 0]],
  ];
  for (const [name, answers, asked] of cases) {
    await t.test(name, async () => {
      await using dir = await scratchDirectory();
      const source = new ScriptedSource(other, ...answers);
      const { outcome, kept, content } = await fetch(dir.path, source);
      assert.equal((outcome as CoracleError).kind, 'DataLoss');
      assert.deepEqual(source.asked, asked);
      assert.deepEqual(kept, [], 'nobody is to go on with that');
      assert.deepEqual(content.usage(), { bytes: 0, inodes: 0 });
    });
  }
});

test('a blob of another size than its manifest says is refused', async () => {
  await using dir = await scratchDirectory();
  const short = await fetch(dir.path, new ScriptedSource(bytes, {}), { size: SIZE + 1 });
  assert.equal((short.outcome as CoracleError).kind, 'DataLoss');
  const long = await fetch(dir.path, new ScriptedSource(bytes, {}), { size: SIZE - 1 });
  assert.equal((long.outcome as CoracleError).kind, 'FailedPrecondition');
  assert.deepEqual(long.kept, []);
});

test('a registry that always breaks at one place is given up', { timeout: 60_000 }, async () => {
  await using dir = await scratchDirectory();
  const source = new ScriptedSource(bytes, { from: 0, to: 2000, error: broken() });
  const stop = AbortSignal.timeout(1500);
  const { outcome } = await fetch(dir.path, source, { signal: stop });
  assert.ok(outcome instanceof Error);
  assert.ok(source.asked.length <= 4, `the waits grow: ${source.asked.length} tries`);
});

test('what the store counts is what the disk has allocated', async () => {
  await using dir = await scratchDirectory();
  const answers = [{ to: 6000, error: broken() }, { error: new CoracleError('NotFound', 'gone') }];
  const { content } = await fetch(dir.path, new ScriptedSource(bytes, ...answers));
  assert.deepEqual(content.usage(), { bytes: 8192, inodes: 1 });
  const done = await fetch(dir.path, new ScriptedSource(bytes, {}));
  assert.deepEqual(done.content.usage(), { bytes: 12288, inodes: 1 });
  assert.deepEqual((await ContentStore.open(dir.path)).usage(), { bytes: 12288, inodes: 1 });
  await done.content.remove(digest);
  assert.deepEqual(done.content.usage(), { bytes: 0, inodes: 0 });
});
