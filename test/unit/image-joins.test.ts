import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CoracleError } from '../../src/errors.ts';
import { ContentStore } from '../../src/image/content-store.ts';
import { digestOf } from '../../src/image/digest.ts';
import { Downloads } from '../../src/image/downloads.ts';
import { Gate } from '../../src/image/gate.ts';
import { InFlight } from '../../src/image/in-flight.ts';
import { PullMetrics } from '../../src/image/metrics.ts';
import { scratchDirectory } from '../helpers/image-fixture.ts';
import { type Answer, broken, ScriptedSource } from '../helpers/image-parts.ts';

const bytes = Buffer.alloc(5000, 7);
const digest = digestOf(bytes);
const blob = { mediaType: '', digest, size: bytes.length };

async function setUp(t: TestContext) {
  const dir = await scratchDirectory();
  t.after(() => dir[Symbol.asyncDispose]());
  const content = await ContentStore.open(dir.path);
  const metrics = new PullMetrics();
  const downloads = new Downloads(content, metrics);
  /** A pull that wants the blob. */
  const want = (
    source: ScriptedSource,
    { access = 'one', registry = 'r', signal = new AbortController().signal } = {},
  ) => {
    const here: number[] = [];
    const onHere = (count: number) => here.push(count);
    const done = downloads.get({ blob, source, registry, access, what: 'b', onHere }, signal);
    done.catch(() => undefined);
    return { done, here };
  };
  return { content, metrics, downloads, want };
}

function held(...rest: Answer[]): { source: ScriptedSource; let: () => void } {
  let release = () => {};
  const hold = new Promise<void>((resolve) => {
    release = resolve;
  });
  return { source: new ScriptedSource(bytes, { hold }, ...rest), let: release };
}

test('a blob that several pulls want comes once, and all of them see it come', async (t) => {
  const { want, metrics, content } = await setUp(t);
  const first = held();
  const others = [new ScriptedSource(bytes), new ScriptedSource(bytes)];
  const one = want(first.source);
  await sleep(20);
  const joined = others.map((source) => want(source));
  first.let();
  await Promise.all([one.done, ...joined.map((each) => each.done)]);
  assert.deepEqual(
    [first.source, ...others].map((source) => source.asked.length),
    [1, 0, 0],
  );
  assert.equal(metrics.snapshot().bytes, bytes.length);
  for (const { here } of joined) assert.equal(here.at(-1), bytes.length);
  assert.equal(content.size(digest), bytes.length);
});

test('each pull may give up alone; the download ends with the last', async (t) => {
  const { want, content } = await setUp(t);
  const first = held();
  const [one, two] = [new AbortController(), new AbortController()];
  const a = want(first.source, { signal: one.signal });
  await sleep(20);
  const b = want(new ScriptedSource(bytes), { signal: two.signal });
  one.abort();
  await assert.rejects(a.done, { kind: 'Cancelled' });
  await sleep(20);
  assert.equal(content.size(digest), undefined);
  first.let();
  await b.done;
  assert.equal(content.size(digest), bytes.length);

  await content.remove(digest);
  const again = held();
  const three = new AbortController();
  const c = want(again.source, { signal: three.signal });
  await sleep(20);
  three.abort();
  await assert.rejects(c.done, { kind: 'Cancelled' });
  const resumed = new ScriptedSource(bytes, {});
  await want(resumed).done;
  assert.ok((resumed.asked[0] ?? 0) > 0, 'it waited for the other to let go, and went on there');
});

test('other credentials share a download only if the registry lets them', async (t) => {
  const denied = new CoracleError('FailedPrecondition', 'denied', {
    reason: 'AuthorizationFailed',
  });
  const { want } = await setUp(t);
  const first = held();
  const one = want(first.source);
  await sleep(20);
  const stranger = new ScriptedSource(bytes, { error: denied });
  await assert.rejects(want(stranger, { access: 'two' }).done, { reason: 'AuthorizationFailed' });
  const friend = new ScriptedSource(bytes, {});
  const joined = want(friend, { access: 'three' });
  await sleep(20);
  first.let();
  await Promise.all([one.done, joined.done]);
  assert.deepEqual(friend.asked, [0], 'asked, but not fetched');
  assert.equal(joined.here.at(-1), bytes.length);
});

test('whether the registry lets them is asked again where it cannot say just now', async (t) => {
  const { want } = await setUp(t);
  const first = held();
  const one = want(first.source);
  await sleep(20);
  const friend = new ScriptedSource(bytes, { error: broken() }, {});
  const joined = want(friend, { access: 'two' });
  while (friend.asked.length < 2) await sleep(20);
  first.let();
  await Promise.all([one.done, joined.done]);
  assert.deepEqual(friend.asked, [0, 0]);
});

test('what fails for one pull is tried by another that may fare better', async (t) => {
  const gone = new CoracleError('NotFound', 'not in this repository');
  const cases: [string, Error, string, boolean][] = [
    ['another repository', gone, 'r', true],
    ['this program', new CoracleError('Internal', 'a bug'), 'other', false],
    ['the same disk', new Error('EIO'), 'other', false],
  ];
  for (const [name, error, registry, saved] of cases) {
    await t.test(name, async (t) => {
      const { want, content } = await setUp(t);
      let fail = () => {};
      const hold = new Promise<void>((resolve) => {
        fail = resolve;
      });
      const bad = want(new ScriptedSource(bytes, { to: 4000, hold, error }));
      await sleep(20);
      const good = want(new ScriptedSource(bytes, {}), { registry });
      fail();
      await assert.rejects(bad.done, error);
      if (saved) await good.done;
      else await assert.rejects(good.done, error);
      assert.equal(content.size(digest), saved ? bytes.length : undefined);
    });
  }
});

test('draining ends downloads and refuses more', async (t) => {
  const { want, downloads, content } = await setUp(t);
  const first = held();
  const one = want(first.source);
  await sleep(20);
  await downloads.drain(new CoracleError('Unavailable', 'closing'));
  await assert.rejects(one.done, /closing/);
  await assert.rejects(want(new ScriptedSource(bytes)).done, /closing/);
  assert.deepEqual(content.partials(), [digest]);
});

test('work that is wanted again while it is torn down starts after that', async () => {
  const tasks = new InFlight<string>();
  const order: string[] = [];
  const stop = new AbortController();
  const first = tasks.run('k', stop.signal, async (signal) => {
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    await sleep(30);
    order.push('first ended');
    throw new Error('aborted');
  });
  stop.abort();
  await assert.rejects(first, { kind: 'Cancelled' });
  let called = false;
  const second = tasks.run('k', undefined, async (_, before) => {
    called = true;
    await before;
    order.push('second began');
    return 'done';
  });
  assert.equal(called, true, 'called at once');
  assert.equal(await second, 'done');
  assert.deepEqual(order, ['first ended', 'second began']);
});

test('the last caller may wait until the work that it gave up has ended', async () => {
  const tasks = new InFlight<string>();
  let ended = false;
  const start = async (signal: AbortSignal) => {
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    await sleep(30);
    ended = true;
    throw new Error('aborted');
  };
  const [one, two] = [new AbortController(), new AbortController()];
  const first = tasks.run('k', one.signal, start, { linger: true });
  const second = tasks.run('k', two.signal, start, { linger: true });
  one.abort();
  await assert.rejects(first, { kind: 'Cancelled' });
  assert.equal(ended, false, 'it goes on for the other');
  two.abort();
  await assert.rejects(second, { kind: 'Cancelled' });
  assert.equal(ended, true);
});

test('a gate lets in as many as it is wide, in order, and those who wait may leave', async () => {
  const gate = new Gate(2);
  const releases: (() => void)[] = [];
  const order: number[] = [];
  const enter = (n: number, signal?: AbortSignal) =>
    gate.run(signal, async () => {
      order.push(n);
      await new Promise<void>((resolve) => releases.push(resolve));
    });
  const stop = new AbortController();
  const runs = [enter(1), enter(2), enter(3, stop.signal), enter(4)];
  await sleep(5);
  assert.deepEqual(order, [1, 2]);
  stop.abort();
  await assert.rejects(runs[2] as Promise<void>, { kind: 'Cancelled' });
  releases.shift()?.();
  await sleep(5);
  assert.deepEqual(order, [1, 2, 4]);
  for (const release of releases) release();
  await Promise.all([runs[0], runs[1], runs[3]]);
  await gate.run(undefined, async () => order.push(5));
  assert.deepEqual(order, [1, 2, 4, 5]);
});
