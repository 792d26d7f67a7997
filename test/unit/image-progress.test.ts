import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '../../src/image/digest.ts';
import type { PullProgress } from '../../src/image/progress.ts';
import { PullTracker } from '../../src/image/pull-tracker.ts';

const config = { mediaType: '', digest: digestOf('config'), size: 10 };
const layers = ['a', 'b'].map((name) => ({ mediaType: '', digest: digestOf(name), size: 100 }));
const [a, b] = layers.map((layer) => layer.digest) as [`sha256:${string}`, `sha256:${string}`];
const manifest = { kind: 'manifest' as const, config, layers };

const states = (progress: PullProgress | undefined) =>
  progress?.layers.map((layer) => `${layer.state} ${layer.fetched}`);

test('each layer is told from waiting to done, and what is here counts at once', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const tracker = new PullTracker();
  const seen: PullProgress[] = [];
  tracker.listen((progress) => seen.push(progress));
  const last = () => {
    t.mock.timers.tick(50);
    return seen.at(-1);
  };
  tracker.begin(manifest);
  assert.deepEqual(states(last()), ['waiting 0', 'waiting 0']);
  tracker.fetched(config.digest, true);
  tracker.fetched(b, true);
  tracker.fetching(a, 40);
  assert.deepEqual(states(last()), ['fetching 40', 'fetched 100']);
  assert.deepEqual(
    [seen.at(-1)?.blobs, seen.at(-1)?.blobsDone, seen.at(-1)?.bytes, seen.at(-1)?.bytesDone],
    [3, 2, 210, 150],
  );
  tracker.fetched(a, false);
  tracker.layer(0, 'unpacking');
  assert.deepEqual(states(last()), ['unpacking 100', 'fetched 100']);
  tracker.layer(0, 'done');
  tracker.layer(1, 'known');
  assert.deepEqual(states(last()), ['done 100', 'exists 100']);
});

test('reports come at most every 50 ms, and the last one always', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const tracker = new PullTracker();
  const seen: PullProgress[] = [];
  tracker.listen((progress) => seen.push(progress));
  tracker.begin(manifest);
  for (let here = 1; here <= 99; here += 1) tracker.fetching(a, here);
  assert.equal(seen.length, 1);
  t.mock.timers.tick(50);
  assert.equal(seen.length, 2);
  assert.equal(seen[1]?.bytesDone, 99);
  t.mock.timers.tick(500);
  assert.equal(seen.length, 2, 'nothing new, no report');
  tracker.fetched(a, false);
  tracker.fetched(b, false);
  tracker.end();
  assert.deepEqual(states(seen.at(-1)), ['fetched 100', 'fetched 100']);
  const { length } = seen;
  t.mock.timers.tick(500);
  assert.equal(seen.length, length);
});

test('who joins is told at once how far it is, and who leaves is told nothing', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const tracker = new PullTracker();
  const early: PullProgress[] = [];
  const stop = tracker.listen((progress) => early.push(progress));
  assert.equal(early.length, 0, 'nothing is known before the manifest');
  tracker.begin(manifest);
  tracker.fetching(a, 30);
  const late: PullProgress[] = [];
  tracker.listen((progress) => late.push(progress));
  assert.equal(late[0]?.bytesDone, 30);
  stop();
  tracker.fetching(a, 60);
  t.mock.timers.tick(50);
  assert.equal(early.length, 1);
  assert.equal(late.at(-1)?.bytesDone, 60);
});
