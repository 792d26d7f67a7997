/** The torture harness's own eyes: that it sees what is wrong. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { Container, ContainerState, ContainerStatus } from '../../src/cri/gen/cri.ts';
import { leaks } from '../torture/audit.ts';
import { LogCheck, logFiles } from '../torture/log-check.ts';
import { ContainerModel, Model, PodModel } from '../torture/model.ts';
import { Observer } from '../torture/observer.ts';
import { type ContainerPlan, planContainer, planPod } from '../torture/plan.ts';
import { makeProgress } from '../torture/progress.ts';
import { Random } from '../torture/random.ts';
import { Trace } from '../torture/trace.ts';

const dir = mkdtempSync(join(tmpdir(), 'coracle-torture-test-'));
after(() => rmSync(dir, { recursive: true }));

/** FNV-1a of "payload", as actor.c writes it. */
const SUM = '330f77a5';
const record = (content: string, tag = 'F', stream = 'stdout') =>
  `2026-01-01T00:00:00.000000000Z ${stream} ${tag} ${content}\n`;
const line = (n: number, stream = 0) =>
  record(`k ${stream} ${n} 7 payload ${SUM}`, 'F', stream === 0 ? 'stdout' : 'stderr');

function problems(text: string, written: [number, number], lossy = false, begun = written) {
  const check = new LogCheck('k');
  // In two portions, cut anywhere.
  const bytes = Buffer.from(text);
  check.feed(bytes.subarray(0, bytes.length / 3));
  check.feed(bytes.subarray(bytes.length / 3));
  check.endFile('log', lossy);
  check.finish({ starts: 1, ended: 0, begun, written }, lossy);
  return check.problems;
}

describe('a log', () => {
  const whole = line(0) + line(0, 1) + line(1) + line(2) + line(1, 1);

  test('is right with every line once and in order', () => {
    assert.deepEqual(problems(whole, [3, 2]), []);
    assert.deepEqual(problems('', [0, 0]), []);
  });

  for (const [what, text, message] of [
    ['a line that is missing', whole.replace(line(1), ''), /after line 0 comes line 2/],
    [
      'one that comes twice',
      whole.replace(line(1), line(1) + line(1)),
      /after line 1 comes line 1/,
    ],
    ['two that are swapped', line(1) + line(0), /after line -1 comes line 1/],
    ['a last one that is missing', whole.replace(line(2), ''), /2 lines, of 3 written/],
    ['one that nobody wrote', whole + line(3), /4 lines, of 3 written/],
    ['one that is not as it was', whole.replace('payload', 'paylord'), /not as it was written/],
    ['one that is cut', whole.replace('payload', 'pay'), /line 0 has 3 of 7/],
    ['one of another', whole.replace('k 0', 'j 0'), /a line of j/],
    ['one of the other stream', whole.replace('stdout', 'stderr'), /a line of k, stream 0/],
    ['no record', `${whole}nonsense\n`, /no record of a log/],
    ['half a record', whole.slice(0, -1), /ends within a record/],
    ['a piece that never ends', whole + record('elsewhere', 'P'), /ends with "elsewhere"/],
  ] as const) {
    test(`is wrong with ${what}`, () => {
      assert.match(problems(text, [3, 2]).join('; '), message);
    });
  }

  test('may lack its end where the monitor was killed, and nothing else', () => {
    assert.deepEqual(problems(line(0), [3, 2], true), []);
    assert.deepEqual(problems(line(0) + line(1).slice(0, -5), [3, 2], true), []);
    assert.match(problems(line(0) + line(2), [3, 2], true).join(), /comes line 2/);
  });

  test('may have a line that its writer was killed in', () => {
    assert.deepEqual(problems(line(0) + record('k 0 1 7 pay', 'P'), [1, 0], false, [2, 0]), []);
    assert.match(problems(line(0) + record('k 0 1 7 pay', 'P'), [1, 0]).join(), /a piece too much/);
  });

  test('is read in the order of its rotations', () => {
    const path = join(dir, 'r.log');
    for (const name of ['', '.1', '.2', '.10']) writeFileSync(path + name, '');
    const names = logFiles(path).map((file) => file.slice(path.length));
    assert.deepEqual(names, ['.1', '.2', '.10', '']);
  });
});

describe('a reader', () => {
  const plan: ContainerPlan = {
    ...{ lines: 0, longest: 9, pauseUs: 0, burst: 1, tty: false, seed: 1 },
    ...{ end: { kind: 'exit', number: 7 }, term: { kind: 'exit', number: 9 } },
  };
  const { CONTAINER_CREATED, CONTAINER_RUNNING, CONTAINER_EXITED } = ContainerState;

  function watch() {
    const model = new Model();
    const podPlan = planPod(new Random(1, 'p'), 'p', 1);
    const pod = new PodModel({ ...podPlan, pid: 'container' }, dir);
    const files = { progress: join(dir, 'progress'), log: join(dir, 'log') };
    makeProgress(files.progress);
    const container = new ContainerModel('k', pod, plan, files);
    model.add(container);
    model.named(container, 'id');
    const found: string[] = [];
    const reader = new Observer(model, (what) => found.push(what)).reader('test');
    const labels = { torture: 'k' };
    const list = (state: ContainerState) =>
      reader.listed([Container.fromPartial({ id: 'id', state, labels })], model.tick());
    const exit = (exitCode: number, finishedAt = 3n) => {
      const times = { createdAt: 1n, startedAt: 2n, finishedAt };
      const state = CONTAINER_EXITED;
      const status = { id: 'id', state, labels, exitCode, ...times, reason: 'Error' };
      reader.status(ContainerStatus.fromPartial(status), model.tick());
    };
    return { model, container, reader, found, list, exit };
  }

  test('sees a state that goes back', () => {
    const { container, found, list } = watch();
    container.startAsked = true;
    for (const state of [CONTAINER_CREATED, CONTAINER_RUNNING, CONTAINER_EXITED]) list(state);
    assert.deepEqual(found, []);
    list(CONTAINER_RUNNING);
    assert.match(found.join(), /is CONTAINER_RUNNING after it was CONTAINER_EXITED/);
  });

  test('sees what runs unasked, what was started and is not, what is gone, and strangers', () => {
    const unasked = watch();
    unasked.list(CONTAINER_RUNNING);
    assert.match(unasked.found.join(), /never started/);
    const lost = watch();
    lost.container.startAsked = true;
    lost.container.startedAt = lost.model.tick();
    lost.list(CONTAINER_CREATED);
    assert.match(lost.found.join(), /CREATED when started/);
    lost.reader.listed([], lost.model.tick());
    assert.match(lost.found.join(), /is gone, and nobody removed it/);
    lost.reader.listed([Container.fromPartial({ id: 'x' })], lost.model.tick());
    assert.match(lost.found.join(), /nobody asked for it/);
  });

  test('sees an exit code that is not the right one, and one that changes', () => {
    const { container, found, exit } = watch();
    container.startAsked = true;
    container.termAsked = true;
    exit(9);
    assert.deepEqual(found, []);
    exit(9, 4n);
    assert.match(found.join(), /and before with 9 at 3/);
    for (const code of [0, 137, 255]) {
      const other = watch();
      other.container.startAsked = true;
      other.container.termAsked = true;
      other.exit(code);
      assert.match(other.found.join(), new RegExp(`ended wrongly: exit code ${code}`));
    }
    const early = watch();
    early.container.startAsked = true;
    early.container.termAsked = true;
    early.exit(9, 1n);
    assert.match(early.found.join(), /finished 1 < 2/);
  });
});

test("chance is the seed's, and each stream its own", () => {
  const draw = (seed: number, name: string) => planContainer(new Random(seed, name), 'pod');
  assert.deepEqual(draw(1, 'a'), draw(1, 'a'));
  assert.notDeepEqual(draw(1, 'a'), draw(2, 'a'));
  assert.notDeepEqual(draw(1, 'a'), draw(1, 'b'));
});

test('what there is more of has leaked, each piece of it', () => {
  const before = { mounts: ['/a', '/a'], files: ['x'] };
  assert.deepEqual(leaks(before, before), []);
  assert.deepEqual(leaks(before, { mounts: ['/a', '/a', '/a'], files: [] }), [
    'leaked, of mounts: /a',
  ]);
});

test('a replay begins its actions in the order of the trace', async () => {
  const [path, again] = [join(dir, 'one.jsonl'), join(dir, 'two.jsonl')];
  const trace = new Trace(path, { seed: 5 });
  for (const who of ['b', 'a', 'b', 'c']) (await trace.action(who, 'acts'))('ok');
  trace.close();
  assert.deepEqual(Trace.optionsOf(path), { seed: 5 });
  const replay = new Trace(again, {}, path);
  await Promise.all(
    ['a', 'c', 'b', 'b'].map(async (who) => (await replay.action(who, 'acts'))('ok')),
  );
  replay.close();
  const order = readFileSync(again, 'utf8')
    .split('\n')
    .filter((text) => text.includes('"does"'))
    .map((text) => (JSON.parse(text) as { who: string }).who);
  assert.deepEqual(order, ['b', 'a', 'b', 'c']);
});
