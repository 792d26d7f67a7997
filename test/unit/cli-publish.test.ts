import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePublish } from '../../src/cli/publish.ts';

const good = {
  '8080:80': { hostIp: '', hostPort: 8080, containerPort: 80, protocol: 'tcp' },
  '127.0.0.1:53:5353/udp': {
    hostIp: '127.0.0.1',
    hostPort: 53,
    containerPort: 5353,
    protocol: 'udp',
  },
  '[::1]:1:65535/sctp': { hostIp: '::1', hostPort: 1, containerPort: 65535, protocol: 'sctp' },
};

for (const [text, mapping] of Object.entries(good)) {
  test(`--publish ${text}`, () => assert.deepEqual(parsePublish(text), mapping));
}

for (const text of [
  '',
  '80',
  ':80',
  '0:80',
  '80:0',
  '80:65536',
  '80:80/icmp',
  '1.2.3:80:80',
  '::1:80:80',
  '[1.2.3.4]:80:80',
  'localhost:80:80',
  '80:80/tcp/udp',
]) {
  test(`--publish ${JSON.stringify(text)} is refused`, () => {
    assert.throws(() => parsePublish(text), { kind: 'InvalidArgument', message: /^--publish: / });
  });
}
