import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { ContentStore } from '../../src/image/content-store.ts';
import { digestOf } from '../../src/image/digest.ts';
import { InFlight } from '../../src/image/in-flight.ts';
import { indexTar } from '../../src/image/tar-index.ts';
import { makeTar, scratchDirectory } from '../helpers/image-fixture.ts';

async function* chunks(...parts: string[]): AsyncGenerator<Buffer> {
  for (const part of parts) yield Buffer.from(part);
}

test('a blob is stored under the digest of its bytes', async () => {
  await using dir = await scratchDirectory();
  const store = await ContentStore.open(dir.path);
  const { digest, size } = await store.ingest(chunks('ab', 'c'), { what: 'b' });
  assert.equal(digest, digestOf('abc'));
  assert.equal(size, 3);
  assert.equal((await store.read(digest, 3)).toString(), 'abc');
  assert.deepEqual(await store.list(), [digest]);
  await assert.rejects(store.read(digest, 2), { kind: 'FailedPrecondition' });
  await writeFile(store.path(digest), 'abd');
  await assert.rejects(store.read(digest, 3), { kind: 'DataLoss' });
  await store.remove(digest);
  await store.remove(digest);
  await assert.rejects(store.read(digest, 3), { kind: 'NotFound' });
});

test('nothing is left of a blob that is not what was promised', async (t) => {
  await using dir = await scratchDirectory();
  const store = await ContentStore.open(dir.path);
  const digest = digestOf('abc');
  const breaks = async function* () {
    yield Buffer.from('a');
    throw new Error('broken');
  };
  const cases: [string, AsyncIterable<Buffer>, object, object][] = [
    ['digest', chunks('abd'), { digest }, { kind: 'DataLoss' }],
    ['short', chunks('ab'), { size: 3 }, { kind: 'DataLoss' }],
    ['long', chunks('abc', 'd'), { size: 3 }, { kind: 'FailedPrecondition' }],
    ['limit', chunks('abc', 'd'), { limit: 3 }, { kind: 'FailedPrecondition' }],
    ['breaks', breaks(), {}, { message: 'broken' }],
  ];
  for (const [name, source, expected, error] of cases) {
    await t.test(name, async () => {
      await assert.rejects(store.ingest(source, { what: 'b', ...expected }), error);
      assert.deepEqual(await store.list(), []);
      assert.deepEqual(await readdir(join(dir.path, 'ingest')), []);
    });
  }
  const gone = AbortSignal.abort();
  await assert.rejects(store.ingest(chunks('abc'), { what: 'b' }, { signal: gone }), {
    kind: 'Cancelled',
  });
  assert.deepEqual(await readdir(join(dir.path, 'ingest')), []);
});

test('opening throws away what a crash left in ingest', async () => {
  await using dir = await scratchDirectory();
  const store = await ContentStore.open(dir.path);
  await writeFile(store.scratchPath(), 'half');
  await ContentStore.open(dir.path);
  assert.deepEqual(await readdir(join(dir.path, 'ingest')), []);
});

test('work is done once for all who want it, and ends with the last of them', async () => {
  const tasks = new InFlight<string>();
  let started = 0;
  let finish = (_: string): void => {};
  let aborted = false;
  const start = (signal: AbortSignal) => {
    started += 1;
    return new Promise<string>((resolve, reject) => {
      finish = resolve;
      signal.addEventListener('abort', () => {
        aborted = true;
        reject(new Error('aborted'));
      });
    });
  };
  const one = new AbortController();
  const first = tasks.run('k', one.signal, start);
  const second = tasks.run('k', undefined, start);
  one.abort();
  await assert.rejects(first, { kind: 'Cancelled' });
  assert.equal(aborted, false);
  finish('done');
  assert.equal(await second, 'done');
  assert.equal(started, 1);

  const two = new AbortController();
  const alone = tasks.run('k', two.signal, start);
  two.abort();
  await assert.rejects(alone, { kind: 'Cancelled' });
  assert.equal(aborted, true);
  const again = tasks.run('k', undefined, start);
  finish('again');
  assert.equal(await again, 'again');
  assert.equal(started, 3);
});

test('every form of tar names its members', async (t) => {
  await using dir = await scratchDirectory();
  const tree = join(dir.path, 'tree');
  const long = `${'d'.repeat(70)}/${'f'.repeat(90)}`;
  await mkdir(join(tree, 'd'.repeat(70)), { recursive: true });
  await writeFile(join(tree, long), 'long');
  await writeFile(join(tree, 'ü'), 'x'.repeat(1000));
  await mkdir(join(tree, 'a'));
  await symlink('../ü', join(tree, 'a', 'link'));
  for (const format of ['gnu', 'pax', 'ustar']) {
    await t.test(format, async () => {
      const file = join(dir.path, `${format}.tar`);
      execFileSync('tar', [`--format=${format}`, '-C', tree, '-cf', file, '.']);
      const members = await indexTar(file);
      assert.equal(members.get(long)?.size, 4);
      assert.equal(members.get('ü')?.size, 1000);
      assert.equal(members.get('a/link')?.link, 'ü');
      assert.equal(members.size, 3);
    });
  }
});

test('a damaged tar is refused', async (t) => {
  await using dir = await scratchDirectory();
  const whole = makeTar([{ name: 'f', data: 'x'.repeat(2000) }]);
  const flipped = Buffer.from(whole);
  flipped[0] = 0x67;
  const huge = makeTar([{ name: 'f' }]);
  huge.write('77777777777\0', 124, 'latin1');
  const sum = huge
    .subarray(0, 512)
    .reduce((s, byte, i) => s + (i >= 148 && i < 156 ? 32 : byte), 0);
  huge.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  const cases: [string, Buffer][] = [
    ['cut in a member', whole.subarray(0, 1500)],
    ['without an end', whole.subarray(0, 2560)],
    ['a header that changed', flipped],
    ['a size beyond the file', huge],
    ['no tar at all', Buffer.from('#!/bin/sh\n'.repeat(200))],
    ['empty', Buffer.alloc(0)],
  ];
  for (const [name, content] of cases) {
    await t.test(name, async () => {
      const file = join(dir.path, 'damaged.tar');
      await writeFile(file, content);
      await assert.rejects(indexTar(file), { kind: 'DataLoss', message: /damaged\.tar/ });
    });
  }
});
