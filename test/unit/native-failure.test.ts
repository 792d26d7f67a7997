import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CoracleError } from '../../src/errors.ts';
import { fromNative, wrapNative } from '../../src/runtime/native-failure.ts';

const native = (code: string, step: string, path = '/x') =>
  Object.assign(new Error(`${step} ${path}: ${code}`), { step, errno: 2, code, path });

test('a native failure gets the kind that fits: the caller’s, the host’s want, a lost monitor', () => {
  const cases: [Error, string][] = [
    [native('ENOENT', 'exec'), 'FailedPrecondition'],
    [native('ENOSPC', 'mkdir'), 'ResourceExhausted'],
    [native('EMFILE', 'open log'), 'ResourceExhausted'],
    [native('EPIPE', 'monitor connection', ''), 'Unavailable'],
  ];
  for (const [error, kind] of cases) {
    const wrapped = fromNative(error, 'FailedPrecondition');
    assert.ok(wrapped instanceof CoracleError);
    assert.equal(wrapped.kind, kind);
    assert.equal(wrapped.cause, error);
  }
});

test('any other error stays what it is', async () => {
  const own = new CoracleError('NotFound', 'no such thing');
  assert.equal(fromNative(own, 'Internal'), own);
  await assert.rejects(wrapNative(Promise.reject(own), 'Internal'), own);
  assert.equal(await wrapNative(Promise.resolve(7), 'Internal'), 7);
});
