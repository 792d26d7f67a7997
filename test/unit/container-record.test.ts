import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultSeccomp } from '../../src/spec/default-seccomp.ts';
import { decodeRecord, encodeRecord } from '../../src/store/codec.ts';
import { toJson } from '../../src/store/json.ts';
import { containerRecordCodec } from '../../src/store/record-codec.ts';
import type { ContainerRecord } from '../../src/store/types.ts';
import { containerRecord } from '../helpers/store.ts';

const profile = defaultSeccomp(['CAP_CHOWN'], 'x64');

function withProfile(id: string, seccomp: unknown = structuredClone(profile)): ContainerRecord {
  return { ...containerRecord(id), spec: { linux: { seccomp } } as never };
}

const decode = (bytes: Buffer) => decodeRecord(containerRecordCodec, bytes, 'containers/a');
const written = (version: number, record: unknown) =>
  Buffer.from(toJson({ v: version, d: { ...(record as object), createdAt: '1' } }));

test('containers share the profile of their records, which nobody can change', () => {
  const [a, b] = ['a', 'b'].map((id) => {
    const record = withProfile(id);
    const read = decode(encodeRecord(containerRecordCodec, record));
    assert.deepEqual(read, record);
    return read.spec.linux.seccomp;
  });
  assert.equal(a, b);
  assert.throws(() => (a as { defaultAction: string }).defaultAction === '' || a?.syscalls.pop());
});

test('a record of version 1, with the profile as it is, is read, and shares it, too', () => {
  const old = decode(written(1, withProfile('a')));
  assert.deepEqual(old.spec.linux.seccomp, profile);
  const now = decode(encodeRecord(containerRecordCodec, withProfile('b')));
  assert.equal(old.spec.linux.seccomp, now.spec.linux.seccomp);
});

test('a record without a profile has none', () => {
  const read = decode(encodeRecord(containerRecordCodec, containerRecord('a')));
  assert.equal(read.spec.linux.seccomp, undefined);
});

test('a profile that is none is told as lost data, with the place of its record', () => {
  const kind = { kind: 'DataLoss', message: /^containers\/a: / };
  for (const seccomp of [{}, 7, 'x', '{}', '{"syscalls":[{"args":[{"value":"z"}]}]}']) {
    assert.throws(() => decode(written(2, withProfile('a', seccomp))), kind, String(seccomp));
  }
});
