import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CoracleError } from '../../src/errors.ts';
import { RegistryError, type RegistryErrorOptions } from '../../src/image/registry-error.ts';
import { retry } from '../../src/image/retry.ts';

const never = new AbortController().signal;

function unavailable(options: Partial<RegistryErrorOptions> = {}): RegistryError {
  return new RegistryError('Unavailable', 'gone', { trouble: 'connection', ...options });
}

/** Fails as `errors` say, one after the other, and tells what was waited in between. */
async function run(errors: (Error | undefined)[], progress: number[] = []) {
  const waits: number[] = [];
  let tries = 0;
  const outcome = await retry(
    never,
    async () => {
      const error = errors[Math.min(tries, errors.length - 1)];
      tries += 1;
      if (error) throw error;
      return 'done';
    },
    {
      progressed: () => progress.includes(tries),
      wait: async (ms) => {
        waits.push(ms);
      },
    },
  ).catch((error: unknown) => error);
  return { outcome, tries, waits };
}

function inRange(value: number | undefined, low: number, high: number): void {
  assert.ok(value !== undefined && value >= low && value <= high, `${value} in ${low}…${high}`);
}

test('what is unavailable is tried six times, with waits that double', async () => {
  const { outcome, tries, waits } = await run([unavailable()]);
  assert.equal((outcome as CoracleError).kind, 'Unavailable');
  assert.equal(tries, 6);
  for (const [index, wait] of waits.entries()) {
    inRange(wait, 0.75 * 250 * 2 ** index, 1.25 * 250 * 2 ** index);
  }
});

test('what comes right is done', async () => {
  const { outcome, tries } = await run([unavailable(), unavailable(), undefined]);
  assert.deepEqual([outcome, tries], ['done', 3]);
});

test('what will not come right is not tried again', async () => {
  for (const kind of ['NotFound', 'FailedPrecondition', 'DataLoss', 'Cancelled'] as const) {
    const { outcome, tries } = await run([new CoracleError(kind, 'no')]);
    assert.deepEqual([(outcome as CoracleError).kind, tries], [kind, 1]);
  }
  assert.equal((await run([new TypeError('bug')])).tries, 1);
});

test('a name without address is tried three times', async () => {
  assert.equal((await run([unavailable({ trouble: 'name' })])).tries, 3);
});

test('progress starts the count anew, and then a registry has half a minute to come back', async () => {
  const { tries, waits } = await run([unavailable()], [2, 5]);
  assert.equal(tries, 5 + 7);
  const patience = waits.slice(-7).reduce((sum, wait) => sum + wait, 0);
  inRange(patience, 0.75 * 30_000, 1.25 * 31_000);
  inRange(waits[2], 300, 700);
});

test('a host that goes silent is tried again only if something had come', async () => {
  const stall = unavailable({ trouble: 'stall' });
  assert.equal((await run([stall])).tries, 1);
  assert.equal((await run([stall], [1])).tries, 2);
  assert.equal((await run([stall, stall, undefined], [1, 2])).outcome, 'done');
});

test('the wait is what the registry asks for where that is longer', async () => {
  const { waits } = await run([unavailable({ retryAfterMs: 7000 }), unavailable(), undefined]);
  assert.equal(waits[0], 7000);
  inRange(waits[1], 375, 625);
});

test('a caller that gives up is told so, in the middle of a wait too', async () => {
  const stop = new AbortController();
  const failing = retry(stop.signal, async () => {
    throw unavailable();
  });
  setTimeout(() => stop.abort(), 50);
  await assert.rejects(failing, { kind: 'Cancelled' });
  await assert.rejects(
    retry(AbortSignal.abort(new CoracleError('Unavailable', 'closing')), async () => {
      throw unavailable();
    }),
    { message: 'closing' },
  );
});
