/** As whom a container runs: users, groups, and what a setuid program may still become. */
import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { status as Code } from '@grpc/grpc-js';
import {
  type DeepPartial,
  type LinuxContainerSecurityContext,
  SupplementalGroupsPolicy,
} from '../../src/cri/gen/cri.ts';
import { conformanceSuite } from '../helpers/conformance.ts';
import { effectiveUidProgram } from '../helpers/critest-images.ts';

const suite = conformanceSuite();

/** What `id` with these arguments says in a container's process 1 and in an exec. */
async function identities(
  securityContext: DeepPartial<LinuxContainerSecurityContext>,
  ...options: string[]
) {
  const pod = await suite.pod();
  const id = ['id', ...options].join(' ');
  const { log } = await pod.complete({ command: ['sh', '-c', id], linux: { securityContext } });
  const containerId = await pod.run({ linux: { securityContext } });
  const first = log.map(({ text }) => text).join('\n');
  assert.equal(await suite.shell(containerId, id), first);
  return { first, status: await suite.status(containerId) };
}

test('RunAsUser is a number', async () => {
  assert.equal((await identities({ runAsUser: { value: 1001n } }, '-u')).first, '1001');
});

test("RunAsUserName is a name of the image's passwd", async () => {
  assert.equal((await identities({ runAsUsername: 'nobody' }, '-nu')).first, 'nobody');
});

test('RunAsGroup goes with RunAsUser', async () => {
  const security = { runAsUser: { value: 1001n }, runAsGroup: { value: 1002n } };
  assert.equal((await identities(security, '-u')).first, '1001');
  assert.equal((await identities(security, '-g')).first, '1002');
});

test('RunAsGroup without a user is refused', async () => {
  const pod = await suite.pod();
  const linux = { securityContext: { runAsGroup: { value: 1002n } } };
  await assert.rejects(pod.create({ linux }), { code: Code.INVALID_ARGUMENT });
});

test('SupplementalGroups are added', async () => {
  const { first } = await identities({ supplementalGroups: [1234n, 5678n] }, '-G');
  assert.deepEqual(first.split(' '), ['0', '1234', '5678']);
});

// The image's group file has user 1000 in group 2000.
for (const [supplementalGroupsPolicy, groups] of [
  [SupplementalGroupsPolicy.Merge, [1000n, 1234n, 2000n]],
  [SupplementalGroupsPolicy.Strict, [1000n, 1234n]],
] as const) {
  const name = SupplementalGroupsPolicy[supplementalGroupsPolicy];
  test(`SupplementalGroupsPolicy ${name}: the groups are ${groups.join(', ')}`, async () => {
    const { first, status } = await identities(
      { runAsUser: { value: 1000n }, supplementalGroups: [1234n], supplementalGroupsPolicy },
      '-G',
    );
    assert.equal(first, groups.join(' '));
    const user = status.user?.linux;
    assert.deepEqual([user?.uid, user?.gid], [1000n, 1000n]);
    assert.deepEqual([...(user?.supplementalGroups ?? [])].sort(), [...groups].sort());
  });
}

for (const noNewPrivs of [true, false]) {
  const gained = noNewPrivs ? 'gains nothing' : 'becomes its owner';
  test(`a setuid program ${gained} with NoNewPrivs ${noNewPrivs}`, async () => {
    const hostPath = join(suite.server.dir, `setuid-${noNewPrivs}`);
    writeFileSync(hostPath, effectiveUidProgram());
    chmodSync(hostPath, 0o4755);
    const pod = await suite.pod();
    const { log } = await pod.complete({
      command: ['/setuid'],
      mounts: [{ hostPath, containerPath: '/setuid' }],
      linux: { securityContext: { runAsUser: { value: 1000n }, noNewPrivs } },
    });
    assert.deepEqual(
      log.map(({ text }) => text),
      [`Effective uid: ${noNewPrivs ? 1000 : 0}`],
    );
  });
}
