/** What the CRI asks of every pod sandbox: its life, its attributes, its kernel parameters. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { status as Code } from '@grpc/grpc-js';
import { ContainerState, PodSandboxState } from '../../src/cri/gen/cri.ts';
import { conformanceSuite } from '../helpers/conformance.ts';

const suite = conformanceSuite();
const { SANDBOX_READY, SANDBOX_NOTREADY } = PodSandboxState;

const listed = async (id: string) => (await suite.client.listPodSandbox({ filter: { id } })).items;
const state = async (podSandboxId: string) =>
  (await suite.client.podSandboxStatus({ podSandboxId })).status?.state;

test('a pod that was run is ready and listed (SB-6)', async () => {
  const pod = await suite.pod();
  assert.equal(await state(pod.id), SANDBOX_READY);
  assert.deepEqual(
    (await listed(pod.id)).map((each) => [each.id, each.state]),
    [[pod.id, SANDBOX_READY]],
  );
});

test('a pod that was stopped is not ready and its containers have exited (SB-9)', async () => {
  const pod = await suite.pod();
  const containerId = await pod.run();
  await suite.client.stopPodSandbox({ podSandboxId: pod.id });
  assert.equal(await state(pod.id), SANDBOX_NOTREADY);
  await suite.assertState(containerId, ContainerState.CONTAINER_EXITED);
  await assert.rejects(pod.create(), { code: Code.FAILED_PRECONDITION });
});

test('a pod that was removed is gone, with its containers, also if it was running (SB-10)', async () => {
  const pod = await suite.pod();
  const containerId = await pod.run();
  await suite.client.removePodSandbox({ podSandboxId: pod.id });
  assert.deepEqual(await listed(pod.id), []);
  await assert.rejects(state(pod.id), { code: Code.NOT_FOUND });
  await assert.rejects(suite.status(containerId), { code: Code.NOT_FOUND });
});

test('metadata, labels and annotations are kept in status and list', async () => {
  const metadata = { name: 'with-attributes', namespace: 'ns', uid: 'a-uid', attempt: 2 };
  const labels = { foo: 'bar', 'io.kubernetes.pod.uid': 'a-uid' };
  const annotations = { abc: 'def' };
  const pod = await suite.pod({ metadata, labels, annotations });
  const { status } = await suite.client.podSandboxStatus({ podSandboxId: pod.id });
  for (const found of [status, ...(await listed(pod.id))]) {
    assert.deepEqual(found?.metadata, metadata);
    assert.deepEqual([found?.labels, found?.annotations], [labels, annotations]);
  }
});

test('the same metadata cannot be run twice at a time (SB-1, SS-13)', async () => {
  const pod = await suite.pod();
  await assert.rejects(suite.pod({ metadata: pod.config.metadata, labels: { another: 'one' } }), {
    code: Code.ALREADY_EXISTS,
    details: /^NameReserved: /,
  });
  await suite.client.removePodSandbox({ podSandboxId: pod.id });
  await suite.pod({ metadata: pod.config.metadata });
});

for (const [name, value] of [
  ['kernel.shm_rmid_forced', '1'],
  ['fs.mqueue.msg_max', '100'],
  ['net.ipv4.ip_local_port_range', '20000\t30000'],
] as const) {
  test(`the kernel parameter ${name} is the pod's own`, async () => {
    const pod = await suite.pod({ linux: { sysctls: { [name]: value } } });
    const plain = await suite.pod();
    const path = `/proc/sys/${name.replaceAll('.', '/')}`;
    assert.equal(await suite.shell(await pod.run(), `cat ${path}`), value);
    assert.notEqual(await suite.shell(await plain.run(), `cat ${path}`), value);
  });
}
