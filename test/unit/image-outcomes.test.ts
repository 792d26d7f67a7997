import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CoracleError } from '../../src/errors.ts';
import { diskError, lacksSpace } from '../../src/image/disk-error.ts';
import { PullMetrics } from '../../src/image/metrics.ts';

test('IM-12: a pull counts while it lasts, and then by how it ended', async () => {
  const metrics = new PullMetrics();
  const stop = new AbortController();
  let finish = () => {};
  const held = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const good = metrics.measure(stop.signal, async () => {
    metrics.received(300);
    await held;
    return 'image';
  });
  assert.equal(metrics.snapshot().inProgress, 1);
  finish();
  assert.equal(await good, 'image');
  const fails = () => Promise.reject(new Error('no'));
  await assert.rejects(metrics.measure(stop.signal, fails));
  stop.abort();
  await assert.rejects(metrics.measure(stop.signal, fails));
  const { seconds, succeededSeconds, ...counts } = metrics.snapshot();
  assert.deepEqual(counts, { inProgress: 0, succeeded: 1, failed: 1, cancelled: 1, bytes: 300 });
  assert.ok(seconds >= succeededSeconds && succeededSeconds > 0);
});

test('what a failed system call means', () => {
  const cases: [string, string, string | undefined][] = [
    ['ENOSPC', 'ResourceExhausted', 'DiskFull'],
    ['EDQUOT', 'ResourceExhausted', 'DiskFull'],
    ['EMFILE', 'ResourceExhausted', undefined],
    ['EIO', 'Internal', undefined],
    ['EROFS', 'Internal', undefined],
  ];
  for (const [code, kind, reason] of cases) {
    const cause = Object.assign(new Error(`${code}: it failed, write`), { code });
    const error = diskError(cause, 'docker.io/library/busybox:latest') as CoracleError;
    assert.deepEqual([error.kind, error.reason, error.cause], [kind, reason, cause], code);
    assert.equal(error.message, `docker.io/library/busybox:latest: ${code}: it failed, write`);
    assert.equal(lacksSpace(error), reason === 'DiskFull');
  }
  for (const other of [new CoracleError('DataLoss', 'x'), new Error('x'), undefined]) {
    assert.equal(diskError(other, 'y'), other);
  }
  const named = Object.assign(new Error('x'), { code: 'ERR_INVALID_ARG_TYPE' });
  assert.equal(diskError(named, 'y'), named, "Node's own codes are no system calls'");
});
