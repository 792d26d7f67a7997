/** Calls that end something succeed where it has ended, or never was. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ContainerState, PodSandboxState } from '../../src/cri/gen/cri.ts';
import { conformanceSuite } from '../helpers/conformance.ts';

const suite = conformanceSuite();
const UNKNOWN = '0'.repeat(64);

test('ending what is not there succeeds (SP-1, RM-1, SB-9)', async () => {
  const { client } = suite;
  await client.stopContainer({ containerId: UNKNOWN, timeout: 0n });
  await client.removeContainer({ containerId: UNKNOWN });
  await client.stopPodSandbox({ podSandboxId: UNKNOWN });
  await client.removePodSandbox({ podSandboxId: UNKNOWN });
  for (let i = 0; i < 2; i += 1) await client.removeImage({ image: { image: UNKNOWN } });
});

test('a pod stops and is removed any number of times (SB-9, SB-10)', async () => {
  const { id: podSandboxId } = await suite.pod();
  for (let i = 0; i < 3; i += 1) {
    await suite.client.stopPodSandbox({ podSandboxId });
    const { status } = await suite.client.podSandboxStatus({ podSandboxId });
    assert.equal(status?.state, PodSandboxState.SANDBOX_NOTREADY);
  }
  for (let i = 0; i < 2; i += 1) await suite.client.removePodSandbox({ podSandboxId });
});

test('a container stops and is removed any number of times, also at once (SP-1, SP-6)', async () => {
  const pod = await suite.pod();
  const containerId = await pod.run();
  await Promise.all([1, 2, 3].map(() => suite.client.stopContainer({ containerId, timeout: 30n })));
  const first = await suite.status(containerId);
  assert.equal(first.state, ContainerState.CONTAINER_EXITED);
  await suite.client.stopContainer({ containerId, timeout: 30n });
  assert.equal((await suite.status(containerId)).finishedAt, first.finishedAt);
  for (let i = 0; i < 2; i += 1) await suite.client.removeContainer({ containerId });
});
