import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { batches } from '../../src/cri/batches.ts';
import { Feed } from '../../src/cri/feed.ts';
import { PodSandbox } from '../../src/cri/gen/cri.ts';
import { CoracleError } from '../../src/errors.ts';

describe('a feed', () => {
  it('gives everything in order, before and after its reader waits', async () => {
    const feed = new Feed<number>(10);
    const reader = feed[Symbol.asyncIterator]();
    feed.put(1);
    feed.put(2);
    assert.deepEqual(
      [await reader.next(), await reader.next()].map(({ value }) => value),
      [1, 2],
    );
    const waiting = reader.next();
    feed.put(3);
    assert.equal((await waiting).value, 3);
  });

  it('gives what it still has before the error that ends it, and the first error counts', async () => {
    const feed = new Feed<number>(10);
    feed.put(1);
    feed.fail(new CoracleError('Unavailable', 'first'));
    feed.fail(new CoracleError('Internal', 'second'));
    feed.put(2);
    const seen: number[] = [];
    await assert.rejects(
      async () => {
        for await (const each of feed) seen.push(each);
      },
      { kind: 'Unavailable', message: 'first' },
    );
    assert.deepEqual(seen, [1]);
  });

  it('tells a reader that fell behind that it did, instead of a part', async () => {
    const feed = new Feed<number>(3);
    for (let turn = 0; turn < 3; turn += 1) feed.put(turn);
    assert.equal(feed.ended, false);
    feed.put(3);
    assert.equal(feed.ended, true);
    await assert.rejects(feed[Symbol.asyncIterator]().next(), {
      kind: 'ResourceExhausted',
      reason: 'EventsLost',
      message: 'the reader is more than 3 events behind: list again',
    });
  });
});

describe('a list in parts', () => {
  const pod = (id: string, note = '') => PodSandbox.fromPartial({ id, annotations: { note } });

  it('has no part where it is empty', () => {
    assert.deepEqual([...batches([], PodSandbox)], []);
  });

  it('has every item once, in parts of about a megabyte, and large items by themselves', () => {
    const items = [
      ...Array.from({ length: 3000 }, (_, turn) => pod(`small-${turn}`, 'x'.repeat(1000))),
      pod('large', 'x'.repeat(3 << 20)),
      pod('last'),
    ];
    const parts = [...batches(items, PodSandbox)];
    assert.deepEqual(parts.flat(), items);
    assert.ok(parts.length >= 5 && parts.length <= 7, String(parts.length));
    for (const part of parts) {
      const bytes = part.reduce((sum, each) => sum + PodSandbox.encode(each).finish().length, 0);
      assert.ok(part.length === 1 || bytes <= 1 << 20, String(bytes));
    }
  });
});
