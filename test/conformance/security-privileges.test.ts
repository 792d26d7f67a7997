/** What a container may do to the kernel and to its own files. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { DeepPartial, LinuxContainerSecurityContext } from '../../src/cri/gen/cri.ts';
import { conformanceSuite } from '../helpers/conformance.ts';

const suite = conformanceSuite();

async function container(securityContext: DeepPartial<LinuxContainerSecurityContext>) {
  const { privileged = false } = securityContext;
  const pod = await suite.pod({ linux: { securityContext: { privileged } } });
  return pod.run({ linux: { securityContext } });
}

const ADD_BRIDGE = ['brctl', 'addbr', 'foobar'];
const capabilities = (id: string, set: string) =>
  suite.shell(id, `awk '/^Cap${set}:/ { print $2 }' /proc/self/status`);
const NONE = '0'.repeat(16);

for (const privileged of [true, false]) {
  test(`a ${privileged ? '' : 'not '}privileged container may ${privileged ? '' : 'not '}change its network`, async () => {
    const { exitCode } = await suite.exec(await container({ privileged }), ...ADD_BRIDGE);
    assert.equal(exitCode === 0, privileged);
  });
}

test('an added capability is there, and only in that container', async () => {
  const added = await container({ capabilities: { addCapabilities: ['NET_ADMIN'] } });
  assert.equal((await suite.exec(added, ...ADD_BRIDGE)).exitCode, 0);
  assert.notEqual((await suite.exec(await container({}), ...ADD_BRIDGE)).exitCode, 0);
});

test('a dropped capability is gone', async () => {
  const id = await container({ capabilities: { dropCapabilities: ['NET_RAW'] } });
  const { stderr, exitCode } = await suite.exec(id, 'ping', '-c', '1', '127.0.0.1');
  assert.match(stderr, /permission denied/);
  assert.notEqual(exitCode, 0);
});

test('ALL adds every capability that the runtime has, and drops every one', async () => {
  const all = await container({ capabilities: { addCapabilities: ['ALL'] } });
  const ours = /^CapBnd:\s*(\w+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  const none = await container({ capabilities: { dropCapabilities: ['ALL'] } });
  for (const set of ['Bnd', 'Eff', 'Prm']) {
    assert.equal(await capabilities(all, set), ours);
    assert.equal(await capabilities(none, set), NONE);
  }
});

test('masked paths cannot be read, and read-only ones not be written', async () => {
  const id = await container({ maskedPaths: ['/etc/passwd', '/home'], readonlyPaths: ['/tmp'] });
  assert.equal((await suite.exec(id, 'cat', '/etc/passwd')).stdout, '');
  assert.equal(await suite.shell(id, 'ls -A /home'), '');
  assert.equal(
    (await suite.exec(id, 'touch', '/tmp/test')).stderr,
    'touch: /tmp/test: Read-only file system\n',
  );
});

for (const readonlyRootfs of [true, false]) {
  test(`a root ${readonlyRootfs ? 'is not' : 'is'} writable with ReadonlyRootfs ${readonlyRootfs}`, async () => {
    const pod = await suite.pod();
    const { log } = await pod.complete({
      command: ['sh', '-c', 'touch test.go && echo Found'],
      linux: { securityContext: { readonlyRootfs } },
    });
    assert.deepEqual(
      log.map(({ stream, text }) => [stream, text]),
      [readonlyRootfs ? ['stderr', 'touch: test.go: Read-only file system'] : ['stdout', 'Found']],
    );
  });
}
