/** What containers and pods use, and the metrics of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { conformanceSuite } from '../helpers/conformance.ts';

const suite = conformanceSuite();

const idsOf = async (filter?: object) => {
  const { stats } = await suite.client.listContainerStats({ ...(filter && { filter }) });
  return stats.map(({ attributes }) => attributes?.id);
};

test('the stats of a container tell whose they are and of when', async () => {
  const pod = await suite.pod();
  const metadata = { name: 'for-stats', attempt: 2 };
  const containerId = await pod.run({ metadata, labels: { a: 'b' } });
  const { stats } = await suite.client.containerStats({ containerId });
  assert.equal(stats?.attributes?.id, containerId);
  assert.deepEqual(stats?.attributes?.metadata, metadata);
  assert.deepEqual(stats?.attributes?.labels, { a: 'b' });
  assert.ok((stats?.cpu?.timestamp ?? 0n) > 0n);
  assert.ok((stats?.memory?.timestamp ?? 0n) > 0n);
  assert.ok((stats?.memory?.workingSetBytes?.value ?? 0n) > 0n);
});

test('the list of stats is of all, of one, of a pod, or by label', async () => {
  const [one, other] = [await suite.pod(), await suite.pod()];
  const labelSelector = { foo: 'bar' };
  const first = await one.run({ labels: labelSelector });
  const second = await one.run();
  const third = await other.run();
  const all = await idsOf();
  for (const id of [first, second, third]) assert.ok(all.includes(id));
  assert.deepEqual(await idsOf({ id: first }), [first]);
  assert.deepEqual((await idsOf({ podSandboxId: one.id })).sort(), [first, second].sort());
  assert.deepEqual(await idsOf({ labelSelector }), [first]);
  assert.deepEqual(await idsOf({ labelSelector: { foo: 'baz' } }), []);
});

test('every metric is described, and has as many values of labels as its description has keys', async () => {
  const { descriptors } = await suite.client.listMetricDescriptors({});
  const keys = new Map(descriptors.map(({ name, labelKeys }) => [name, labelKeys.length]));
  assert.equal(keys.size, descriptors.length);
  for (const { name, help } of descriptors) assert.notEqual(help, '', name);

  const pod = await suite.pod();
  const memory = 64n << 20n;
  await pod.run({
    linux: {
      resources: {
        cpuPeriod: 100_000n,
        cpuQuota: 20_000n,
        cpuShares: 1024n,
        memoryLimitInBytes: memory,
        memorySwapLimitInBytes: memory,
      },
    },
  });
  const { podMetrics } = await suite.client.listPodSandboxMetrics({});
  const found = podMetrics.find(({ podSandboxId }) => podSandboxId === pod.id);
  const ofContainers = found?.containerMetrics.flatMap(({ metrics }) => metrics) ?? [];
  const metrics = [...(found?.metrics ?? []), ...ofContainers];
  for (const { name, labelValues } of metrics) {
    assert.equal(labelValues.length, keys.get(name), name);
  }
  const limit = ofContainers.find(({ name }) => name === 'container_spec_memory_limit_bytes');
  assert.equal(limit?.value?.value, memory);
  for (const name of [
    'container_cpu_usage_seconds_total',
    'container_network_receive_bytes_total',
  ]) {
    assert.ok(
      metrics.some((each) => each.name === name),
      name,
    );
  }
});
