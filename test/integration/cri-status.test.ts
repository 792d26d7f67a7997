/** What the CRI tells about pods, containers and images, over a real gRPC connection. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { status as Code } from '@grpc/grpc-js';
import {
  ContainerState,
  MountPropagation,
  NamespaceMode,
  PodSandboxState,
  SecurityProfile_ProfileType as ProfileType,
  Signal,
} from '../../src/cri/gen/cri.ts';
import { exited, runPod } from '../helpers/pod.ts';
import { TestServer } from '../helpers/server.ts';

let server: TestServer;
let image: string;

const own = { namespaceOptions: { pid: NamespaceMode.CONTAINER } };

before(async () => {
  server = await TestServer.start();
  image = await server.importBusybox();
});
after(() => server.close());

test('ContainerStatus tells what the container was made from and as whom it runs', async (t) => {
  const pod = await runPod(server, image);
  const hostPath = join(server.dir, 'volume');
  mkdirSync(hostPath);
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', hostPath]);
  t.after(() => execFileSync('umount', ['-l', hostPath]));
  execFileSync('mount', ['--make-shared', hostPath]);
  const mount = {
    containerPath: '/volume',
    hostPath,
    readonly: true,
    propagation: MountPropagation.PROPAGATION_HOST_TO_CONTAINER,
  };
  const containerId = await pod.create(['sleep', '1000'], {
    labels: { l: '1' },
    annotations: { a: '2' },
    mounts: [mount],
    stopSignal: Signal.SIGNAL_SIGUSR1,
    linux: {
      resources: { cpuShares: 512n, memoryLimitInBytes: 64n << 20n, oomScoreAdj: 500n },
      securityContext: {
        ...own,
        runAsUser: { value: 1000n },
        runAsGroup: { value: 1000n },
        supplementalGroups: [3000n],
        seccomp: { profileType: ProfileType.RuntimeDefault },
      },
    },
  });
  const created = (await server.client.containerStatus({ containerId })).status;
  assert.equal(created?.state, ContainerState.CONTAINER_CREATED);
  assert.deepEqual([created?.startedAt, created?.finishedAt, created?.user], [0n, 0n, undefined]);

  await server.client.startContainer({ containerId });
  const { status, info } = await server.client.containerStatus({ containerId, verbose: true });
  assert.equal(status?.state, ContainerState.CONTAINER_RUNNING);
  assert.ok((status?.startedAt ?? 0n) >= (status?.createdAt ?? 1n));
  assert.deepEqual(status?.metadata, { name: 'c', attempt: 1 });
  assert.equal(status?.image?.image, image);
  assert.equal(status?.logPath, join(pod.logDir, 'c-1.log'));
  assert.deepEqual([status?.labels, status?.annotations], [{ l: '1' }, { a: '2' }]);
  assert.equal(status?.stopSignal, Signal.SIGNAL_SIGUSR1);
  assert.deepEqual({ ...status?.mounts[0], ...mount }, status?.mounts[0]);
  assert.equal(status?.resources?.linux?.memoryLimitInBytes, 64n << 20n);
  assert.equal(status?.resources?.linux?.cpuShares, 512n);
  assert.equal(status?.resources?.linux?.oomScoreAdj, 500n);
  assert.equal(status?.user?.linux?.uid, 1000n);
  assert.equal(status?.user?.linux?.gid, 1000n);
  assert.ok(status?.user?.linux?.supplementalGroups.includes(3000n));

  const detail = JSON.parse(info.info ?? '{}');
  assert.equal(detail.sandboxID, pod.id);
  assert.ok(detail.pid > 1);
  assert.equal(detail.config.name, 'c');
  assert.deepEqual(detail.runtimeSpec.process.args, ['sleep', '1000']);

  const found = await server.client.imageStatus({ image: { image }, verbose: true });
  assert.equal(status?.imageId, found.image?.id);
  assert.ok(JSON.parse(found.info.info ?? '{}').imageSpec.config);

  // A container with its own PID namespace: its command is process 1 there.
  const ps = await server.client.execSync({ containerId, cmd: ['cat', '/proc/1/comm'] });
  assert.equal(ps.stdout.toString(), 'sleep\n');
  await server.client.stopContainer({ containerId, timeout: 0n });
  const over = await exited(server, containerId);
  assert.deepEqual([over.exitCode, over.reason], [137, 'Error']);
  await server.client.removePodSandbox({ podSandboxId: pod.id });
});

test('PodSandboxStatus comes with the statuses of its containers', async () => {
  const pod = await runPod(server, image, NamespaceMode.CONTAINER, NamespaceMode.NODE);
  const containerId = await pod.create(['true'], { linux: { securityContext: own } });
  const answer = await server.client.podSandboxStatus({
    podSandboxId: pod.id.slice(0, 20),
    verbose: true,
  });
  assert.deepEqual(answer.status?.metadata, pod.config.metadata);
  assert.equal(answer.status?.network?.ip, '');
  const options = answer.status?.linux?.namespaces?.options;
  assert.deepEqual(
    [options?.network, options?.pid, options?.ipc],
    [NamespaceMode.NODE, NamespaceMode.CONTAINER, NamespaceMode.POD],
  );
  assert.deepEqual(
    answer.containersStatuses.map(({ id }) => id),
    [containerId],
  );
  assert.ok(JSON.parse(answer.info.info ?? '{}').pid > 1);

  await server.client.stopPodSandbox({ podSandboxId: pod.id });
  const { status } = await server.client.podSandboxStatus({ podSandboxId: pod.id });
  assert.equal(status?.state, PodSandboxState.SANDBOX_NOTREADY);
  await server.client.removePodSandbox({ podSandboxId: pod.id });
});

test('what is unknown is NOT_FOUND to ask for, empty to list, and no error to end', async () => {
  const id = 'f'.repeat(64);
  const { client } = server;
  await assert.rejects(client.containerStatus({ containerId: id }), { code: Code.NOT_FOUND });
  await assert.rejects(client.podSandboxStatus({ podSandboxId: id }), { code: Code.NOT_FOUND });
  await assert.rejects(client.startContainer({ containerId: id }), { code: Code.NOT_FOUND });
  await assert.rejects(client.execSync({ containerId: id, cmd: ['true'] }), {
    code: Code.NOT_FOUND,
  });
  assert.deepEqual((await client.listContainers({ filter: { id } })).containers, []);
  assert.deepEqual((await client.listPodSandbox({ filter: { id } })).items, []);
  await client.stopContainer({ containerId: id });
  await client.removeContainer({ containerId: id });
  await client.stopPodSandbox({ podSandboxId: id });
  await client.removePodSandbox({ podSandboxId: id });
  await client.removeImage({ image: { image: 'localhost/none:1' } });
  const none = await client.imageStatus({ image: { image: 'localhost/none:1' } });
  assert.equal(none.image, undefined);
});

test('a runtime handler that is not configured is refused by its name', async () => {
  const config = { metadata: { name: 'n', namespace: 'n', uid: 'u' } };
  await assert.rejects(server.client.runPodSandbox({ config, runtimeHandler: 'kata' }), {
    code: Code.INVALID_ARGUMENT,
    details: /^runtime_handler: "kata" is no runtime handler/,
  });
});

test('Status tells the configuration, and UpdateRuntimeConfig is part of it', async () => {
  const { client } = server;
  await client.updateRuntimeConfig({
    runtimeConfig: { networkConfig: { podCidr: '10.1.0.0/24' } },
  });
  const { info, features } = await client.status({ verbose: true });
  const config = JSON.parse(info.config ?? '{}');
  assert.deepEqual([config.root, config.podCidr], [server.root, '10.1.0.0/24']);
  assert.ok(JSON.parse(info.doctor ?? '{}').checks.length > 10);
  assert.equal(features?.supplementalGroupsPolicy, true);
  assert.equal((await client.runtimeConfig()).linux?.cgroupDriver, 1);
});
