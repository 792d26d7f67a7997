import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { status } from '@grpc/grpc-js';
import { isOwnFault, toServiceError } from '../../src/cri/errors.ts';
import { CoracleError, type ErrorKind } from '../../src/errors.ts';

describe('errors as gRPC statuses', () => {
  const kinds: [ErrorKind, status][] = [
    ['InvalidArgument', status.INVALID_ARGUMENT],
    ['NotFound', status.NOT_FOUND],
    ['AlreadyExists', status.ALREADY_EXISTS],
    ['FailedPrecondition', status.FAILED_PRECONDITION],
    ['DeadlineExceeded', status.DEADLINE_EXCEEDED],
    ['Cancelled', status.CANCELLED],
    ['ResourceExhausted', status.RESOURCE_EXHAUSTED],
    ['Unavailable', status.UNAVAILABLE],
    ['Unimplemented', status.UNIMPLEMENTED],
    ['DataLoss', status.DATA_LOSS],
    ['Internal', status.INTERNAL],
  ];
  for (const [kind, code] of kinds) {
    it(`${kind} is ${status[code]} with the message as it is`, () => {
      const { code: got, details } = toServiceError(new CoracleError(kind, 'why'));
      assert.deepEqual([got, details], [code, 'why']);
    });
  }

  it('leads with the reason that kubelet looks for, once', () => {
    const make = (message: string) =>
      toServiceError(new CoracleError('Unavailable', message, { reason: 'RegistryUnavailable' }));
    assert.equal(make('no route').details, 'RegistryUnavailable: no route');
    assert.equal(make('RegistryUnavailable: x').details, 'RegistryUnavailable: x');
  });

  const thrown: [string, unknown, status][] = [
    [
      'a full disk',
      Object.assign(new Error('write'), { code: 'ENOSPC' }),
      status.RESOURCE_EXHAUSTED,
    ],
    [
      'too many files',
      Object.assign(new Error('open'), { code: 'EMFILE' }),
      status.RESOURCE_EXHAUSTED,
    ],
    ['a missing file', Object.assign(new Error('open'), { code: 'ENOENT' }), status.INTERNAL],
    ['a numeric code', Object.assign(new Error('x'), { code: 5 }), status.INTERNAL],
    ['an aborted signal', AbortSignal.abort().reason, status.CANCELLED],
    [
      'a timed out signal',
      Object.assign(new Error('late'), { name: 'TimeoutError' }),
      status.DEADLINE_EXCEEDED,
    ],
    ['a bug', new TypeError('undefined is not a function'), status.INTERNAL],
    ['what is no error', 'a string', status.INTERNAL],
  ];
  for (const [what, error, code] of thrown) {
    it(`${what} is ${status[code]}`, () => {
      assert.equal(toServiceError(error).code, code);
    });
  }

  it('counts only the unexpected as its own fault', () => {
    assert.equal(isOwnFault(new TypeError('bug')), true);
    assert.equal(isOwnFault(new CoracleError('Internal', 'x')), true);
    assert.equal(isOwnFault(new CoracleError('NotFound', 'x')), false);
    assert.equal(isOwnFault(new CoracleError('Cancelled', 'x')), false);
  });

  it('keeps the message short enough for an HTTP/2 header', () => {
    const { details } = toServiceError(new Error('x'.repeat(100_000)));
    assert.equal(details.length, 4096);
    assert.ok(details.endsWith('…'));
    const wide = toServiceError(new Error('\u20ac'.repeat(100_000)));
    assert.ok(encodeURI(wide.details).length <= 6144);
    assert.ok(wide.details.endsWith('…'));
    assert.equal(toServiceError(new Error('short \u20ac')).details, 'short \u20ac');
  });

  it('makes a message that gRPC can encode of any text, wherever it is cut', () => {
    for (const size of [4093, 4094, 4095, 4096, 4097]) {
      for (const text of ['\ud83d\ude00', '\ud83d', '\ude00']) {
        const { details } = toServiceError(new Error('x'.repeat(size) + text.repeat(9)));
        assert.ok(encodeURI(details).length <= 6144);
      }
    }
    const emoji = toServiceError(new Error('\ud83d\ude00'.repeat(5000)));
    assert.match(emoji.details, /^(\ud83d\ude00)+…$/u);
  });
});
