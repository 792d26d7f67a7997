/** What the CRI tells of the use of CPU, memory, disk and network, by containers that use them. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type {
  ContainerStats,
  ContainerStatsFilter,
  DeepPartial,
  PodSandboxMetrics,
} from '../../src/cri/gen/cri.ts';
import { NamespaceMode } from '../../src/cri/gen/cri.ts';
import { exited, runPod, type TestPod } from '../helpers/pod.ts';
import { TestServer } from '../helpers/server.ts';

const MiB = 1024 * 1024;
let server: TestServer;
let image: string;
let pod: TestPod;

before(async () => {
  server = await TestServer.start();
  image = await server.importBusybox();
  pod = await runPod(server, image);
});
after(() => server.close());

async function statsOf(containerId: string): Promise<ContainerStats> {
  const { stats } = await server.client.containerStats({ containerId });
  assert.ok(stats);
  return stats;
}

function sh(containerId: string, script: string) {
  return server.client.execSync({ containerId, cmd: ['sh', '-c', script], timeout: 30n });
}

/** The values of one metric of a container, or of its pod, by the labels that are its own. */
function values(metrics: PodSandboxMetrics, name: string, containerId?: string) {
  const of = containerId
    ? metrics.containerMetrics.find((each) => each.containerId === containerId)?.metrics
    : metrics.metrics;
  const found = of?.filter((metric) => metric.name === name) ?? [];
  return new Map(found.map((m) => [m.labelValues.slice(6).join(','), Number(m.value?.value)]));
}

async function podMetrics(id: string): Promise<PodSandboxMetrics> {
  const { podMetrics: all } = await server.client.listPodSandboxMetrics({});
  const found = all.find((each) => each.podSandboxId === id);
  assert.ok(found);
  return found;
}

test('a second of CPU is counted as one, and as the rate that it is', async () => {
  const id = await pod.run(['sleep', '1000']);
  const before = (await statsOf(id)).cpu;
  assert.ok(before?.usageCoreNanoSeconds && before.usageNanoCores, JSON.stringify(before, text));
  // Until its own clock says that it has used 1 s: however busy the machine is.
  const { stdout } = await sh(
    id,
    'while read -r _ _ _ _ _ _ _ _ _ _ _ _ _ user system _ < /proc/$$/stat && ' +
      '[ $((user + system)) -lt 100 ]; do :; done; echo done',
  );
  assert.equal(stdout.toString(), 'done\n');
  const later = (await statsOf(id)).cpu;
  assert.ok(later?.usageCoreNanoSeconds && later.usageNanoCores);
  const used = Number(later.usageCoreNanoSeconds.value - before.usageCoreNanoSeconds.value) / 1e9;
  assert.ok(used > 0.95 && used < 1.5, `${used} s`);
  const window = Number(later.timestamp - before.timestamp) / 1e9;
  const rate = Number(later.usageNanoCores.value) / 1e9;
  assert.ok(Math.abs(rate - used / window) < 0.1 * (used / window), `${rate} of ${used}/${window}`);
});

const text = (_key: string, value: unknown) => (typeof value === 'bigint' ? `${value}` : value);

test('memory that is written is in the working set, and the rest of the limit is available', async () => {
  const id = await pod.run(['sleep', '1000'], {
    linux: { resources: { memoryLimitInBytes: BigInt(64 * MiB) } },
  });
  const before = (await statsOf(id)).memory;
  await sh(id, 'dd if=/dev/zero of=/dev/shm/file bs=1M count=20 2>/dev/null');
  const { memory, swap } = await statsOf(id);
  assert.ok(before?.workingSetBytes && memory?.workingSetBytes && memory.availableBytes);
  const grown = Number(memory.workingSetBytes.value - before.workingSetBytes.value) / MiB;
  assert.ok(grown > 19 && grown < 25, `${grown} MiB`);
  assert.equal(
    memory.workingSetBytes.value + memory.availableBytes.value,
    BigInt(64 * MiB),
    'working set and available make up the limit',
  );
  assert.ok(memory.usageBytes && memory.usageBytes.value >= memory.workingSetBytes.value);
  assert.ok(memory.pageFaults && memory.pageFaults.value > 0n);
  assert.ok(memory.rssBytes && memory.rssBytes.value < memory.usageBytes.value);
  if (swap) assert.equal(swap.swapUsageBytes?.value, 0n);
});

test('a writable layer grows by what is written to it, and stays measured after the end', async () => {
  const id = await pod.run([
    'sh',
    '-c',
    'mkdir /d && dd if=/dev/zero of=/d/f bs=1M count=8 && sync',
  ]);
  await exited(server, id);
  const stats = await statsOf(id);
  const { writableLayer } = stats;
  assert.equal(stats.cpu, undefined, 'it does not run');
  assert.equal(stats.memory, undefined);
  assert.equal(writableLayer?.fsId?.mountpoint, server.root);
  const bytes = Number(writableLayer?.usedBytes?.value);
  assert.ok(bytes >= 8 * MiB && bytes < 9 * MiB, `${bytes} bytes`);
  const inodes = Number(writableLayer?.inodesUsed?.value);
  assert.ok(inodes >= 3, `${inodes} inodes`);
  const { containerFilesystems, imageFilesystems } = await server.client.imageFsInfo({});
  assert.equal(containerFilesystems[0]?.fsId?.mountpoint, server.root);
  assert.ok(Number(containerFilesystems[0]?.usedBytes?.value) >= bytes);
  assert.notDeepEqual(containerFilesystems[0]?.usedBytes, imageFilesystems[0]?.usedBytes);
});

test('lists filter by id, pod and labels, and show what does not run without its use', async () => {
  const other = await runPod(server, image);
  const labels = { app: 'stats' };
  const running = await other.run(['sleep', '1000'], { labels });
  const created = await other.create(['sleep', '1000']);
  const list = async (filter: DeepPartial<ContainerStatsFilter> | undefined) =>
    (await server.client.listContainerStats({ filter })).stats;
  const ids = (stats: ContainerStats[]) => stats.map(({ attributes }) => attributes?.id).sort();
  assert.deepEqual(ids(await list({ id: running.slice(0, 12) })), [running]);
  assert.deepEqual(ids(await list({ podSandboxId: other.id })), [running, created].sort());
  assert.deepEqual(ids(await list({ labelSelector: labels })), [running]);
  assert.deepEqual(await list({ labelSelector: { app: 'none' } }), []);
  const all = await list(undefined);
  assert.ok(ids(all).includes(running) && ids(all).includes(created));
  const of = (id: string) => all.find(({ attributes }) => attributes?.id === id);
  assert.ok(of(running)?.cpu?.usageNanoCores);
  assert.equal(of(created)?.cpu, undefined);
  assert.deepEqual(of(running)?.attributes?.labels, labels);
  await server.client.removePodSandbox({ podSandboxId: other.id });
  await assert.rejects(server.client.containerStats({ containerId: running }), { code: 5 });
});

test('a pod is its containers, its processes and its network', async () => {
  const [first, second] = [await pod.run(['sleep', '1000']), await pod.run(['sleep', '1000'])];
  const { stats } = await server.client.podSandboxStats({ podSandboxId: pod.id });
  const linux = stats?.linux;
  assert.ok(linux?.cpu?.usageCoreNanoSeconds && linux.memory?.workingSetBytes);
  const members = linux.containers.map(({ attributes }) => attributes?.id);
  assert.ok(members.includes(first) && members.includes(second));
  const counted = Number(linux.process?.processCount?.value);
  assert.ok(counted >= 2, `${counted} processes`);
  assert.equal(linux.network?.defaultInterface?.name, 'eth0');
  assert.deepEqual(linux.network?.interfaces, [], 'the loopback is not listed');
  const { stats: all } = await server.client.listPodSandboxStats({ filter: { id: pod.id } });
  assert.equal(all.length, 1);
  const sum = linux.containers.reduce(
    (total, each) => total + (each.cpu?.usageCoreNanoSeconds?.value ?? 0n),
    0n,
  );
  assert.ok((all[0]?.linux?.cpu?.usageCoreNanoSeconds?.value ?? 0n) >= sum);
});

test('bytes that a pod sends and receives are on its interface', async () => {
  const sink = await runPod(server, image);
  const { status } = await server.client.podSandboxStatus({ podSandboxId: sink.id });
  const receiver = await sink.run(['sh', '-c', 'sleep 1000 | nc -l -p 7000 > /dev/null']);
  const sender = await pod.run(['sleep', '1000']);
  const { exitCode, stderr } = await sh(
    sender,
    `for i in 1 2 3 4 5; do dd if=/dev/zero bs=1M count=4 2>/dev/null | nc ${status?.network?.ip} 7000 && exit 0; sleep 0.2; done; exit 1`,
  );
  assert.equal(exitCode, 0, stderr.toString());
  const usage = async (id: string) =>
    (await server.client.podSandboxStats({ podSandboxId: id })).stats?.linux?.network
      ?.defaultInterface;
  const [sent, received] = [await usage(pod.id), await usage(sink.id)];
  assert.ok(Number(sent?.txBytes?.value) >= 4 * MiB, `${sent?.txBytes?.value} sent`);
  assert.ok(Number(received?.rxBytes?.value) >= 4 * MiB, `${received?.rxBytes?.value} received`);
  const metrics = values(await podMetrics(sink.id), 'container_network_receive_bytes_total');
  assert.ok((metrics.get('eth0') ?? 0) >= 4 * MiB);
  assert.ok(receiver);
  await server.client.removePodSandbox({ podSandboxId: sink.id });
});

test('every metric has a descriptor whose labels it fills, and those that must be are there', async () => {
  const id = await pod.run(['sleep', '1000'], {
    linux: {
      resources: {
        cpuPeriod: 100_000n,
        cpuQuota: 20_000n,
        cpuShares: 512n,
        memoryLimitInBytes: BigInt(64 * MiB),
        memorySwapLimitInBytes: BigInt(64 * MiB),
      },
    },
  });
  const { descriptors } = await server.client.listMetricDescriptors({});
  const known = new Map(descriptors.map((each) => [each.name, each]));
  assert.equal(known.size, descriptors.length, 'each name once');
  const metrics = await podMetrics(pod.id);
  const all = [...metrics.metrics, ...metrics.containerMetrics.flatMap((each) => each.metrics)];
  const seen = new Set<string>();
  for (const { name, labelValues } of all) {
    assert.equal(labelValues.length, known.get(name)?.labelKeys.length, name);
    const series = `${name} ${JSON.stringify(labelValues)}`;
    assert.ok(!seen.has(series), `${series} twice`);
    seen.add(series);
  }
  const missing = descriptors.filter(({ name }) => !all.some((each) => each.name === name));
  const mayMiss =
    /^container_(hugetlb|pressure|blkio|fs_(reads|writes)|memory_swap|spec_memory_swap)/;
  assert.deepEqual(
    missing.map(({ name }) => name).filter((name) => !mayMiss.test(name)),
    [],
  );
  const value = (name: string) => values(metrics, name, id).get('');
  assert.equal(value('container_spec_cpu_quota'), 20_000);
  assert.equal(value('container_spec_cpu_shares'), 512);
  assert.equal(value('container_spec_memory_limit_bytes'), 64 * MiB);
  assert.equal(value('container_processes'), 1);
  assert.equal(value('container_threads'), 1);
  assert.equal(value('container_sockets'), 0);
  assert.ok(Math.abs((value('container_last_seen') ?? 0) - Date.now() / 1000) < 5);
});

test('processes, threads and open files are counted', async () => {
  const id = await pod.run([
    'sh',
    '-c',
    'exec 3</etc/passwd 4</etc/passwd; sleep 1000 & sleep 1000 & nc -l -p 7100 & wait',
  ]);
  await sh(id, 'until netstat -ltn | grep -q 7100; do sleep 0.05; done');
  const metrics = await podMetrics(pod.id);
  assert.equal(values(metrics, 'container_processes', id).get(''), 4);
  assert.equal(values(metrics, 'container_threads', id).get(''), 4);
  assert.equal(values(metrics, 'container_sockets', id).get(''), 1);
  assert.ok((values(metrics, 'container_file_descriptors', id).get('') ?? 0) >= 4 * 5);
});

test('a process that memory runs out on is an OOM event', async () => {
  const id = await pod.run(['sleep', '1000'], {
    linux: { resources: { memoryLimitInBytes: BigInt(16 * MiB) } },
  });
  const { exitCode } = await sh(id, 'head -c 64m /dev/zero | tail -c 64m > /dev/null; exit $?');
  assert.notEqual(exitCode, 0);
  const metrics = await podMetrics(pod.id);
  const of = (name: string) => values(metrics, name, id).get('') ?? -1;
  assert.ok(of('container_oom_events_total') >= 1, `${of('container_oom_events_total')} OOMs`);
  const most = of('container_memory_max_usage_bytes');
  assert.ok(most > 8 * MiB && most <= 16 * MiB, `${most} bytes at most`);
});

test('a pod of the host network has no network of its own, a stopped pod no stats', async () => {
  const host = await runPod(server, image, NamespaceMode.CONTAINER, NamespaceMode.NODE);
  const { stats } = await server.client.podSandboxStats({ podSandboxId: host.id });
  assert.equal(stats?.linux?.network, undefined);
  assert.deepEqual((await podMetrics(host.id)).metrics, []);
  await server.client.stopPodSandbox({ podSandboxId: host.id });
  await assert.rejects(server.client.podSandboxStats({ podSandboxId: host.id }), { code: 9 });
  const { stats: all } = await server.client.listPodSandboxStats({ filter: { id: host.id } });
  assert.deepEqual(all, []);
});
