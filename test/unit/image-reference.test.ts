import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CoracleError } from '../../src/errors.ts';
import { formatReference, parseReference } from '../../src/image/reference.ts';

const hex = 'a'.repeat(64);
const digest = `sha256:${hex}`;

const good: [given: string, normal: string][] = [
  ['busybox', 'docker.io/library/busybox:latest'],
  ['busybox:1.36', 'docker.io/library/busybox:1.36'],
  ['user/app', 'docker.io/user/app:latest'],
  ['docker.io/busybox', 'docker.io/library/busybox:latest'],
  ['docker.io/user/app:x', 'docker.io/user/app:x'],
  ['index.docker.io/busybox', 'docker.io/library/busybox:latest'],
  ['registry-1.docker.io/a/b', 'docker.io/a/b:latest'],
  ['quay.io/a/b/c:v1.2_3-x', 'quay.io/a/b/c:v1.2_3-x'],
  ['localhost/a', 'localhost/a:latest'],
  ['localhost:5000/a', 'localhost:5000/a:latest'],
  ['local/a', 'docker.io/local/a:latest'],
  ['host:5000/a:1', 'host:5000/a:1'],
  ['127.0.0.1:5000/a/b:1', '127.0.0.1:5000/a/b:1'],
  ['[::1]:5000/a:1', '[::1]:5000/a:1'],
  ['[fd00::1]/a', '[fd00::1]/a:latest'],
  ['REGISTRY/a', 'REGISTRY/a:latest'],
  ['My.Registry:443/a', 'My.Registry:443/a:latest'],
  ['k8s.gcr.io/pause:3.9', 'k8s.gcr.io/pause:3.9'],
  [`busybox@${digest}`, `docker.io/library/busybox@${digest}`],
  [`busybox:1@${digest}`, `docker.io/library/busybox@${digest}`],
  [`localhost:5000/a@${digest}`, `localhost:5000/a@${digest}`],
  ['a__b/c--d.e_f', 'docker.io/a__b/c--d.e_f:latest'],
  [`a:${'t'.repeat(128)}`, `docker.io/library/a:${'t'.repeat(128)}`],
  ['deadbeef', 'docker.io/library/deadbeef:latest'],
];

const bad: [given: string, why: RegExp][] = [
  ['', /is empty/],
  [hex, /is an image id/],
  ['Busybox', /lower case/],
  ['quay.io/Foo/bar', /lower case/],
  ['busybox:', /no tag/],
  ['busybox:-x', /no tag/],
  [`busybox:${'t'.repeat(129)}`, /no tag/],
  ['busybox@', /digest/],
  ['busybox@sha256:abc', /digest/],
  [`busybox@md5:${hex}`, /digest/],
  [`busybox@${digest}@${digest}`, /digest/],
  ['a//b', /no repository component/],
  ['/a', /no repository component/],
  ['a/', /no repository component/],
  ['quay.io/', /names no repository/],
  ['a/../b', /no repository component/],
  ['a b', /no repository component/],
  ['-a', /no repository component/],
  ['a_', /no repository component/],
  ['a___b', /no repository component/],
  ['.io/a', /no registry host/],
  ['host-.io/a', /no registry host/],
  ['host:port/a', /no registry host/],
  ['host:70000/a', /port above/],
  ['[::1/a', /no registry host/],
  ['10.1.1.256/a', /no address/],
  ['[:::]/a', /no address/],
  ['https://quay.io/a', /./],
  ['user@host.io/a', /./],
  [`q.io/${'a/'.repeat(130)}b`, /255/],
];

test('references take their defaults', async (t) => {
  for (const [given, normal] of good) {
    await t.test(given, () => {
      assert.equal(formatReference(parseReference(given)), normal);
      assert.equal(formatReference(parseReference(normal)), normal, 'the normal form is stable');
    });
  }
});

test('what is no reference is refused with its text and the reason', async (t) => {
  for (const [given, why] of bad) {
    await t.test(JSON.stringify(given), () => {
      assert.throws(
        () => parseReference(given),
        (error: unknown) =>
          error instanceof CoracleError &&
          error.kind === 'InvalidArgument' &&
          error.message.includes(JSON.stringify(given)) &&
          why.test(error.message),
      );
    });
  }
});

test('a tag stays known beside a digest', () => {
  const reference = parseReference(`busybox:1.36@${digest}`);
  assert.equal(reference.tag, '1.36');
  assert.equal(reference.digest, digest);
});
