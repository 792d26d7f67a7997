import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { armFailpoints, failpoint, failpointHits } from '../../src/failpoint.ts';

function outcomes(name: string, times: number): string[] {
  return Array.from({ length: times }, () => {
    try {
      failpoint(name);
      return '-';
    } catch (error) {
      return (error as NodeJS.ErrnoException).code ?? '?';
    }
  });
}

describe('failpoints', () => {
  afterEach(() => armFailpoints(''));

  it('do nothing unless they are armed', () => {
    assert.equal(failpoint('journal.append'), undefined);
    assert.equal(failpointHits().size, 0);
  });

  it('fail from the first hit on, or at some of them', () => {
    armFailpoints('a=EIO;b=ENOSPC@3x2;c.*=EMFILE@2');
    assert.deepEqual(outcomes('a', 2), ['EIO', 'EIO']);
    assert.deepEqual(outcomes('b', 6), ['-', '-', 'ENOSPC', 'ENOSPC', '-', '-']);
    assert.deepEqual(outcomes('c.one', 1), ['-']);
    assert.deepEqual(outcomes('c.two', 1), ['EMFILE']);
    assert.deepEqual(outcomes('d', 1), ['-']);
    assert.deepEqual(Object.fromEntries(failpointHits()), { a: 2, b: 6, 'c.one': 1, 'c.two': 1 });
  });

  it('look like errors of the kernel', () => {
    armFailpoints('a=ENOSPC');
    assert.throws(() => failpoint('a'), { code: 'ENOSPC', errno: -28 });
  });

  it('take their chances from the seed', () => {
    const run = (seed: number) => {
      armFailpoints(`seed=${seed};a=EIO%30`);
      return outcomes('a', 200);
    };
    const first = run(7);
    assert.deepEqual(run(7), first);
    assert.notDeepEqual(run(8), first);
    const failed = first.filter((each) => each === 'EIO').length;
    assert.ok(failed > 30 && failed < 90, `${failed} of 200`);
  });

  it('pause who waits', async () => {
    armFailpoints('a=delay(20)@2');
    assert.equal(failpoint('a'), undefined);
    const before = performance.now();
    await failpoint('a');
    assert.ok(performance.now() - before >= 19);
  });

  it('say what is no failpoint', () => {
    for (const item of ['a', 'a=', 'a=EWHAT', 'a=delay', 'a=kill@', 'A=kill', 'seed=x']) {
      assert.throws(() => armFailpoints(`b=EIO;${item}`), {
        name: 'TypeError',
        message: new RegExp(`"${item}"`),
      });
    }
    assert.equal(failpoint('b'), undefined);
  });
});
