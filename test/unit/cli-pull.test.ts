/** What surrounds a pull on the command line: credentials, errors told again, hints. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';
import { findCredentials, parseCredentials } from '../../src/cli/credentials.ts';
import { explainPull } from '../../src/cli/pull-problem.ts';
import { fromServiceError } from '../../src/cri/client-error.ts';
import { toServiceError } from '../../src/cri/errors.ts';
import { CoracleError, type ErrorKind } from '../../src/errors.ts';

describe('credentials', () => {
  const nothing = Readable.from([]);

  it('come from the flag, then standard input, then the environment', async () => {
    const env = { CORACLE_CREDS: 'env:secret' };
    const found = (flags: object, input = '') =>
      findCredentials(flags, input === '' ? nothing : Readable.from([input]), env);
    assert.deepEqual(await found({ creds: 'flag:a:b' }), { username: 'flag', password: 'a:b' });
    assert.deepEqual(await found({ credsStdin: true }, 'in:pass word\n'), {
      username: 'in',
      password: 'pass word',
    });
    assert.deepEqual(await found({}), { username: 'env', password: 'secret' });
    assert.equal(await findCredentials({}, nothing, {}), undefined);
  });

  it('are refused without being repeated', async () => {
    for (const text of ['hush', ':hush', '']) {
      assert.throws(
        () => parseCredentials('--creds', text),
        (error: CoracleError) =>
          error.kind === 'InvalidArgument' && error.message === '--creds: is not user:password',
      );
    }
    const both = { creds: 'a:b', credsStdin: true };
    await assert.rejects(findCredentials(both, nothing, {}), { kind: 'InvalidArgument' });
  });
});

describe('an error that a server has told', () => {
  const kinds: ErrorKind[] = [
    'InvalidArgument',
    'NotFound',
    'AlreadyExists',
    'FailedPrecondition',
    'DeadlineExceeded',
    'Cancelled',
    'ResourceExhausted',
    'Unavailable',
    'Unimplemented',
    'DataLoss',
    'Internal',
  ];

  it('is of the same kind, with the same message and reason', () => {
    for (const kind of kinds) {
      const error = new CoracleError(kind, 'a.test: what is wrong', { reason: 'DiskFull' });
      const again = fromServiceError(toServiceError(error)) as CoracleError;
      assert.deepEqual(
        [again.kind, again.message, again.reason],
        [kind, 'a.test: what is wrong', 'DiskFull'],
      );
    }
  });

  it('has no reason where its message only begins like one', () => {
    for (const message of ['Dockerfile: none', 'a.test: RegistryUnavailable: x', 'IO: x']) {
      const again = fromServiceError(toServiceError(new CoracleError('Internal', message)));
      assert.deepEqual(
        [(again as CoracleError).message, (again as CoracleError).reason],
        [message, undefined],
      );
    }
  });

  it('is left alone where it is none', () => {
    const error = Object.assign(new Error('ENOENT'), { code: 'ENOENT' });
    assert.equal(fromServiceError(error), error);
  });
});

describe('a pull that fails', () => {
  it('says why, and what may help', () => {
    const denied = new CoracleError('FailedPrecondition', 'a.test/x: the registry denies access', {
      reason: 'AuthorizationFailed',
    });
    assert.deepEqual(explainPull(denied, false), {
      message: 'a.test/x: the registry denies access (AuthorizationFailed)',
      hint: 'give credentials with --creds, --creds-stdin or CORACLE_CREDS',
    });
    assert.match(explainPull(denied, true).hint ?? '', /refuses this user/);
    assert.match(explainPull(new CoracleError('NotFound', 'x'), false).hint ?? '', /the tag/);
    assert.deepEqual(explainPull(new TypeError('x'), false), { message: 'x', hint: undefined });
  });
});
