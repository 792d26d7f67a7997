/** Which system calls a container may make. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  type DeepPartial,
  type LinuxContainerSecurityContext,
  SecurityProfile_ProfileType as ProfileType,
} from '../../src/cri/gen/cri.ts';
import { conformanceSuite } from '../helpers/conformance.ts';

const suite = conformanceSuite();

/** A profile of the host that refuses system calls. */
function refusing(...names: string[]) {
  const localhostRef = join(suite.server.dir, `refuse-${names.join('-')}.json`);
  const syscalls = [{ names, action: 'SCMP_ACT_ERRNO' }];
  writeFileSync(localhostRef, JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls }));
  return { profileType: ProfileType.Localhost, localhostRef };
}

async function container(securityContext: DeepPartial<LinuxContainerSecurityContext>) {
  const { privileged = false } = securityContext;
  const pod = await suite.pod({ linux: { securityContext: { privileged } } });
  return pod.run({ linux: { securityContext } });
}

const mode = (id: string) => suite.shell(id, `awk '/^Seccomp:/ { print $2 }' /proc/self/status`);

for (const [what, seccomp, expected] of [
  ['no profile', undefined, '0'],
  ['Unconfined', { profileType: ProfileType.Unconfined }, '0'],
  ['RuntimeDefault', { profileType: ProfileType.RuntimeDefault }, '2'],
] as const) {
  test(`${what}: the process ${expected === '0' ? 'has no filter' : 'is filtered'}`, async () => {
    assert.equal(await mode(await container({ seccomp })), expected);
  });
}

test('a profile of the host is in force', async () => {
  const id = await container({ seccomp: refusing('chmod', 'fchmodat', 'fchmodat2') });
  assert.equal(await mode(id), '2');
  assert.match((await suite.exec(id, 'chmod', '400', '/')).stderr, /Operation not permitted/);
  assert.equal(await suite.shell(id, 'echo other calls'), 'other calls');
});

const SYS_ADMIN = { addCapabilities: ['SYS_ADMIN'] };

test('a capability allows a call, and a profile refuses it nevertheless', async () => {
  const rename = ['hostname', 'ANewHostName'];
  const unconfined = { profileType: ProfileType.Unconfined };
  const free = await container({ capabilities: SYS_ADMIN, seccomp: unconfined });
  assert.equal((await suite.exec(free, ...rename)).exitCode, 0);
  assert.equal(await suite.shell(free, 'hostname'), 'ANewHostName');
  const bound = await container({ capabilities: SYS_ADMIN, seccomp: refusing('sethostname') });
  assert.match((await suite.exec(bound, ...rename)).stderr, /Operation not permitted/);
});

test('a privileged container has no filter, whatever its profile says', async () => {
  const id = await container({ privileged: true, seccomp: refusing('sethostname') });
  assert.equal((await suite.exec(id, 'hostname', 'ANewHostName')).exitCode, 0);
});
