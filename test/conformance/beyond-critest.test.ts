/** What CRI promises and its validation suite does not try. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { status as Code } from '@grpc/grpc-js';
import type { ContainerConfig } from '../../src/cri/gen/cri.ts';
import { ContainerState, type DeepPartial, NamespaceMode } from '../../src/cri/gen/cri.ts';
import { cgroupDirs, readCgroupLayout } from '../../src/runtime/cgroup/index.ts';
import { conformanceSuite, PAUSE } from '../helpers/conformance.ts';

const suite = conformanceSuite();
const MiB = 1n << 20n;

const pid = (mode: NamespaceMode, targetId = ''): DeepPartial<ContainerConfig> => ({
  linux: { securityContext: { namespaceOptions: { pid: mode, targetId } } },
});

async function cgroupFile(
  containerId: string,
  controller: string,
  names: string[],
): Promise<string | undefined> {
  const { info } = await suite.client.containerStatus({ containerId, verbose: true });
  const { cgroupPath } = JSON.parse(info.info ?? '{}') as { cgroupPath: string };
  const dirs = cgroupDirs(await readCgroupLayout(), cgroupPath, controller);
  const file = dirs.flatMap((dir) => names.map((name) => join(dir, name))).find(existsSync);
  return file && readFileSync(file, 'utf8').trim();
}

const memoryLimit = (id: string) =>
  cgroupFile(id, 'memory', ['memory.limit_in_bytes', 'memory.max']);

test("a container joins another one's PID namespace, if that runs in the same pod", async () => {
  const pod = await suite.pod();
  const target = await pod.run({ ...pid(NamespaceMode.CONTAINER), command: [...PAUSE, 'target'] });
  const guest = await pod.run(pid(NamespaceMode.TARGET, target));
  const line = await suite.shell(guest, "tr '\\0' ' ' < /proc/1/cmdline");
  assert.match(line, /target$/);
  await assert.rejects(pod.create(pid(NamespaceMode.TARGET)), {
    code: Code.INVALID_ARGUMENT,
    details: /namespace_options\.target_id/,
  });
  const other = await suite.pod();
  await assert.rejects(other.create(pid(NamespaceMode.TARGET, target)), {
    code: Code.INVALID_ARGUMENT,
  });
  const late = await pod.create(pid(NamespaceMode.TARGET, target));
  await suite.client.stopContainer({ containerId: target });
  await assert.rejects(suite.client.startContainer({ containerId: late }), {
    code: Code.FAILED_PRECONDITION,
  });
  const status = await suite.status(late);
  assert.deepEqual([status.exitCode, status.reason], [128, 'StartError']);
});

test('a device is there under its name, with the permissions that were given', async () => {
  const pod = await suite.pod();
  const id = await pod.run({
    devices: [
      { containerPath: '/dev/readable', hostPath: '/dev/zero', permissions: 'r' },
      { containerPath: '/dev/sub/both', hostPath: '/dev/null', permissions: 'rw' },
    ],
  });
  assert.equal(await suite.shell(id, 'stat -c "%t,%T" /dev/readable /dev/sub/both'), '1,5\n1,3');
  assert.equal(await suite.shell(id, 'head -c 5 /dev/readable | wc -c'), '5');
  await suite.shell(id, 'echo x > /dev/sub/both');
  // Not given to anybody: a disk's driver, the kernel's log.
  await suite.shell(id, 'mknod /tmp/kmsg c 1 11');
  assert.notEqual((await suite.exec(id, 'head', '-c', '1', '/tmp/kmsg')).exitCode, 0);
  const bad = [{ containerPath: '/dev/x', hostPath: '/dev/null', permissions: 'x' }];
  await assert.rejects(pod.create({ devices: bad }), {
    code: Code.INVALID_ARGUMENT,
    details: /config\.devices\[0\]\.permissions: "x"/,
  });
});

test('huge pages and unified values take effect, or are refused by name', async () => {
  const pod = await suite.pod();
  const { v2 } = await readCgroupLayout();
  const limits = (resources: object) => pod.create({ linux: { resources } });
  const unified = { 'memory.high': '33554432' };
  if (v2?.controllers.includes('memory')) {
    const id = await limits({ unified });
    assert.equal(await cgroupFile(id, 'memory', ['memory.high']), unified['memory.high']);
  } else {
    await assert.rejects(limits({ unified }), { details: /unified\["memory\.high"\]/ });
  }
  // A limit of none holds on every host.
  await limits({ hugepageLimits: [{ pageSize: '2MB', limit: 0n }] });
  await assert.rejects(limits({ hugepageLimits: [{ pageSize: '2M', limit: 0n }] }), {
    code: Code.INVALID_ARGUMENT,
    details: /hugepage_limits\[0\]\.page_size/,
  });
  await assert.rejects(limits({ unified: { '../memory.max': '1' } }), {
    code: Code.INVALID_ARGUMENT,
  });
});

test('limits are updated before the start and while it runs, and then no more', async () => {
  const { client } = suite;
  const pod = await suite.pod();
  const id = await pod.create({ linux: { resources: { memoryLimitInBytes: 64n * MiB } } });
  const update = (linux: object) => client.updateContainerResources({ containerId: id, linux });
  const told = async () => (await suite.status(id)).resources?.linux;
  await update({ memoryLimitInBytes: 32n * MiB, cpuShares: 512n });
  assert.equal(await memoryLimit(id), String(32n * MiB));
  await client.startContainer({ containerId: id });
  assert.equal(await memoryLimit(id), String(32n * MiB));
  await update({ memoryLimitInBytes: 128n * MiB });
  assert.equal(await memoryLimit(id), String(128n * MiB));
  assert.deepEqual(
    [(await told())?.memoryLimitInBytes, (await told())?.cpuShares],
    [128n * MiB, 512n],
  );
  await assert.rejects(update({ cpusetCpus: '4000', memoryLimitInBytes: 64n * MiB }), {
    code: Code.FAILED_PRECONDITION,
    details: /write "4000" to .*cpuset\.cpus: /,
  });
  assert.equal(await memoryLimit(id), String(128n * MiB));
  await assert.rejects(update({ cpuPeriod: 5n }), {
    code: Code.INVALID_ARGUMENT,
    details: /^linux\.cpu_period: 5 /,
  });
  await client.updateContainerResources({ containerId: id, annotations: { why: 'test' } });
  const { info } = await client.containerStatus({ containerId: id, verbose: true });
  const shown = JSON.parse(info.info ?? '{}');
  assert.deepEqual(shown.updateAnnotations, { why: 'test' });
  assert.equal(shown.runtimeSpec.linux.resources.memory.limit, Number(128n * MiB));
  await client.stopContainer({ containerId: id });
  await assert.rejects(update({ cpuShares: 100n }), { code: Code.FAILED_PRECONDITION });
});

test("limits of a pod are its cgroup's, and shown", async () => {
  const { client } = suite;
  const resources = { memoryLimitInBytes: 64n * MiB };
  const pod = await suite.pod({ linux: { resources, overhead: { memoryLimitInBytes: MiB } } });
  await client.updatePodSandboxResources({
    podSandboxId: pod.id,
    resources: { memoryLimitInBytes: 128n * MiB },
  });
  const { info } = await client.podSandboxStatus({ podSandboxId: pod.id, verbose: true });
  const { cgroupPath, podResources } = JSON.parse(info.info ?? '{}');
  assert.deepEqual(podResources, {
    resources: { memoryLimit: Number(128n * MiB) },
    overhead: { memoryLimit: Number(MiB) },
  });
  const files = cgroupDirs(await readCgroupLayout(), cgroupPath, 'memory')
    .flatMap((dir) => [join(dir, 'memory.limit_in_bytes'), join(dir, 'memory.max')])
    .filter(existsSync);
  assert.deepEqual(
    files.map((file) => readFileSync(file, 'utf8').trim()),
    [String(129n * MiB)],
  );
});

test('checkpoints are refused with the reason', async () => {
  const { client } = suite;
  for (const call of [
    client.checkpointContainer({ containerId: 'x', location: '/tmp/x' }),
    client.checkpointPod({ podSandboxId: 'x' }),
    client.restorePod({ checkpointPath: '/tmp/x' }),
  ]) {
    await assert.rejects(call, {
      code: Code.UNIMPLEMENTED,
      details: /not supported: it takes CRIU/,
    });
  }
});

test('a pod keeps the runtime handler that it names, and no other than the advertised are taken', async () => {
  const { client } = suite;
  const { runtimeHandlers } = await client.status({});
  const names = runtimeHandlers.map(({ name }) => name);
  assert.deepEqual(names.toSorted(), ['', 'native']);
  const metadata = { name: 'handler', namespace: 'conformance', uid: 'handler' };
  for (const runtimeHandler of names) {
    const { podSandboxId } = await client.runPodSandbox({ config: { metadata }, runtimeHandler });
    const { status } = await client.podSandboxStatus({ podSandboxId });
    const { items } = await client.listPodSandbox({ filter: { id: podSandboxId } });
    assert.deepEqual(
      [status?.runtimeHandler, items[0]?.runtimeHandler],
      [runtimeHandler, runtimeHandler],
    );
    await client.removePodSandbox({ podSandboxId });
  }
  await assert.rejects(client.runPodSandbox({ config: { metadata }, runtimeHandler: 'kata' }), {
    code: Code.INVALID_ARGUMENT,
    details: /^runtime_handler: "kata" .*"native"/,
  });
  const image = { image: suite.image, runtimeHandler: 'kata' };
  await assert.rejects(client.imageStatus({ image }), { code: Code.INVALID_ARGUMENT });
});

test('streamed lists have what the whole ones have, by the same filters', async () => {
  const { client } = suite;
  const pod = await suite.pod({ labels: { app: 'a' } });
  await suite.pod({ labels: { app: 'b' } });
  const running = await pod.run({ labels: { app: 'a' } });
  await pod.create({ labels: { app: 'a' } });
  const collect = async <T, R>(stream: AsyncIterable<T>, items: (part: T) => R[]) => {
    const found: R[] = [];
    for await (const part of stream) found.push(...items(part));
    return found;
  };
  const labelSelector = { app: 'a' };
  const state = { state: ContainerState.CONTAINER_RUNNING };
  for (const filter of [undefined, { labelSelector }, { state, labelSelector }, { id: 'none' }]) {
    const request = filter ? { filter } : {};
    assert.deepEqual(
      await collect(client.streamContainers(request), (part) => part.containers),
      (await client.listContainers(request)).containers,
    );
  }
  for (const filter of [undefined, { labelSelector }, { id: pod.id }, { id: 'none' }]) {
    const request = filter ? { filter } : {};
    assert.deepEqual(
      await collect(client.streamPodSandboxes(request), (part) => part.podSandboxes),
      (await client.listPodSandbox(request)).items,
    );
    const stats = await collect(client.streamPodSandboxStats(request), (p) => p.podSandboxStats);
    assert.deepEqual(
      stats.map(({ attributes }) => attributes),
      (await client.listPodSandboxStats(request)).stats.map(({ attributes }) => attributes),
    );
  }
  assert.deepEqual(
    await collect(client.streamImages({}), (part) => part.images),
    (await client.listImages({})).images,
  );
  const stats = await collect(
    client.streamContainerStats({ filter: { id: running } }),
    (part) => part.containerStats,
  );
  assert.deepEqual(
    stats.map(({ attributes }) => attributes?.id),
    [running],
  );
  assert.ok((stats[0]?.cpu?.usageCoreNanoSeconds?.value ?? 0n) > 0n);
  const metrics = await collect(client.streamPodSandboxMetrics({}), (p) => p.podSandboxMetrics);
  const { podMetrics } = await client.listPodSandboxMetrics({});
  const names = (of: typeof metrics) => of.map((each) => [each.podSandboxId, each.metrics.length]);
  assert.deepEqual(names(metrics), names(podMetrics));
});

test('a long line of output is split, and none of it is lost (LG-2)', async () => {
  const pod = await suite.pod();
  const { log } = await pod.complete({
    command: ['sh', '-c', "head -c 40000 /dev/zero | tr '\\0' x; echo; echo end"],
  });
  assert.deepEqual(
    log.map(({ tag, text }) => [tag, text.length]),
    [
      ['P', 16_384],
      ['P', 16_384],
      ['F', 7232],
      ['F', 3],
    ],
  );
});

test('pods, containers and exit codes outlive the server', async () => {
  const pod = await suite.pod();
  const running = await pod.run();
  const created = await pod.create();
  const brief = await pod.run({ command: ['sh', '-c', 'sleep 0.3; exit 7'] });
  const before = await suite.status(running);
  await suite.server.end('SIGKILL');
  await new Promise((resolve) => setTimeout(resolve, 500));
  await suite.server.launch();
  assert.deepEqual(await suite.status(running), before);
  await suite.assertState(created, ContainerState.CONTAINER_CREATED);
  assert.equal((await suite.status(brief)).exitCode, 7);
  await suite.client.startContainer({ containerId: created });
  assert.equal(await suite.shell(created, 'echo there'), 'there');
});
