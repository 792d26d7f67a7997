/** Details of CRI's contract that are new, or that runtimes have missed. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { status as Code } from '@grpc/grpc-js';
import {
  type ContainerConfig,
  type DeepPartial,
  MountPropagation,
  NamespaceMode,
  Signal,
  SupplementalGroupsPolicy,
  type UserNamespace,
} from '../../src/cri/gen/cri.ts';
import { conformanceSuite, eventually } from '../helpers/conformance.ts';
import { exited } from '../helpers/pod.ts';

const suite = conformanceSuite();
const MiB = 1 << 20;
const INVALID = Code.INVALID_ARGUMENT;
const ownPid = { securityContext: { namespaceOptions: { pid: NamespaceMode.CONTAINER } } };

function hostDir(name: string, files: Record<string, string> = {}): string {
  const dir = join(suite.server.dir, name);
  mkdirSync(dir, { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(join(dir, file), text);
  return dir;
}

test('a recursively read-only mount has to be read-only and private', async () => {
  const pod = await suite.pod();
  const mount = {
    containerPath: '/m',
    hostPath: hostDir('rro'),
    readonly: true,
    recursiveReadOnly: true,
  };
  const { runtimeHandlers } = await suite.client.status({});
  const features = runtimeHandlers.find(({ name }) => name === 'native')?.features;
  const details = /^(RROUnsupported: )?config\.mounts\[0\]\.recursive_read_only: /;
  for (const change of [
    { readonly: false },
    { propagation: MountPropagation.PROPAGATION_HOST_TO_CONTAINER },
  ]) {
    await assert.rejects(pod.create({ mounts: [{ ...mount, ...change }] }), { details });
  }
  if (features?.recursiveReadOnlyMounts) {
    const id = await pod.run({ mounts: [mount] });
    assert.notEqual((await suite.exec(id, 'touch', '/m/x')).exitCode, 0);
    assert.equal((await suite.status(id)).mounts[0]?.recursiveReadOnly, true);
  } else {
    await assert.rejects(pod.create({ mounts: [mount] }), { details: /^RROUnsupported: / });
  }
});

test('id mappings that a mount cannot have are refused, never ignored', async () => {
  const pod = await suite.pod();
  const mapping = { hostId: 100_000, containerId: 0, length: 65_536 };
  const mount = { containerPath: '/m', hostPath: hostDir('mapped') };
  const maps = { uidMappings: [mapping], gidMappings: [mapping] };
  await assert.rejects(pod.create({ mounts: [{ ...mount, ...maps }] }), {
    details: /config\.mounts\[0\]\.uidMappings: /,
  });
});

test('an image is mounted read-only, whole and by a path in it; one that is not there has a name', async () => {
  const pod = await suite.pod();
  const image = { image: suite.image };
  const id = await pod.run({
    mounts: [
      { containerPath: '/whole', image, readonly: true },
      { containerPath: '/part', image, imageSubPath: 'etc', readonly: true },
    ],
  });
  const passwd = await suite.shell(id, 'cat /etc/passwd');
  assert.equal(await suite.shell(id, 'cat /whole/etc/passwd'), passwd);
  assert.equal(await suite.shell(id, 'cat /part/passwd'), passwd);
  assert.notEqual((await suite.exec(id, 'touch', '/whole/x')).exitCode, 0);
  const bad = { containerPath: '/m', image, imageSubPath: 'no/such', readonly: true };
  const attempt = async () => {
    const containerId = await pod.create({ mounts: [bad] });
    await suite.client.startContainer({ containerId });
  };
  await assert.rejects(attempt(), { details: /ImageVolumeMountFailed/ });
});

test('mount options are advertised and take effect', async () => {
  const { features } = await suite.client.status({});
  assert.equal(features?.mountOptions, true);
  const pod = await suite.pod();
  const hostPath = hostDir('options', { script: '#!/bin/sh\necho ran\n' });
  const mounts = [
    { containerPath: '/free', hostPath },
    { containerPath: '/bound', hostPath, mountOptions: ['noexec', 'nodev', 'nosuid'] },
  ];
  const id = await pod.run({ mounts });
  await suite.shell(id, 'chmod +x /free/script');
  assert.equal(await suite.shell(id, '/free/script'), 'ran');
  assert.match((await suite.exec(id, 'sh', '-c', '/bound/script')).stderr, /Permission denied/);
  const options = (path: string) =>
    suite.shell(id, `awk '$5 == "${path}" { print $6 }' /proc/self/mountinfo`);
  assert.match(await options('/bound'), /nosuid,nodev,noexec/);
  assert.doesNotMatch(await options('/free'), /noexec/);
  await assert.rejects(
    pod.create({ mounts: [{ containerPath: '/m', hostPath, mountOptions: ['sync'] }] }),
    { code: INVALID, details: /config\.mounts\[0\]\.mount_options\[0\]: "sync"/ },
  );
});

test('a stop signal is told and sent, real-time ones too', async () => {
  const pod = await suite.pod();
  const trap = (number: number) => [
    'sh',
    '-c',
    `trap "exit 9" ${number}; while :; do sleep 0.05; done`,
  ];
  for (const [stopSignal, number] of [
    [Signal.SIGNAL_SIGUSR1, 10],
    [Signal.SIGNAL_SIGRTMINPLUS3, 37],
    [Signal.SIGNAL_SIGRTMAXMINUS1, 63],
  ] as const) {
    const id = await pod.run({ stopSignal, command: trap(number), linux: ownPid });
    assert.equal((await suite.status(id)).stopSignal, stopSignal);
    await eventually('it listens', async () => {
      const { stdout } = await suite.exec(id, 'grep', 'SigCgt', '/proc/1/status');
      const caught = BigInt(`0x${/[0-9a-f]{16}/.exec(stdout)?.[0] ?? '0'}`);
      return (caught & (1n << BigInt(number - 1))) !== 0n ? true : undefined;
    });
    await suite.client.stopContainer({ containerId: id, timeout: 10n });
    assert.equal((await suite.status(id)).exitCode, 9, Signal[stopSignal]);
  }
});

test('a user namespace maps root, with exactly one mapping of each kind', async () => {
  const mapping = { hostId: 100_000, containerId: 0, length: 65_536 };
  const bad: DeepPartial<UserNamespace>[] = [
    { mode: NamespaceMode.CONTAINER },
    { mode: NamespaceMode.TARGET },
    { mode: NamespaceMode.POD },
    { mode: NamespaceMode.POD, uids: [mapping], gids: [] },
    { mode: NamespaceMode.POD, uids: [mapping, mapping], gids: [mapping] },
    { mode: NamespaceMode.POD, uids: [{ ...mapping, containerId: 1 }], gids: [mapping] },
  ];
  for (const usernsOptions of bad) {
    const linux = { securityContext: { namespaceOptions: { usernsOptions } } };
    await assert.rejects(suite.pod({ linux }), {
      code: INVALID,
      details: /config\.linux\.security_context\.namespace_options\.userns_options\./,
    });
  }
});

test('groups of the image are added or left out, and what came of it is told', async () => {
  const pod = await suite.pod();
  const { features } = await suite.client.status({});
  assert.equal(features?.supplementalGroupsPolicy, true);
  for (const [supplementalGroupsPolicy, expected] of [
    [SupplementalGroupsPolicy.Merge, [1000, 2000, 3000]],
    [SupplementalGroupsPolicy.Strict, [1000, 3000]],
  ] as const) {
    const id = await pod.run({
      linux: {
        securityContext: {
          runAsUser: { value: 1000n },
          supplementalGroups: [3000n],
          supplementalGroupsPolicy,
        },
      },
    });
    const groups = (await suite.shell(id, 'id -G')).split(' ').map(Number);
    assert.deepEqual([...new Set(groups)].sort(), expected);
    const user = (await suite.status(id)).user?.linux;
    assert.equal(user?.uid, 1000n);
    const told = new Set([user?.gid, ...(user?.supplementalGroups ?? [])].map(Number));
    assert.deepEqual([...told].sort(), expected);
  }
});

test('CDI devices are refused by field and by annotation', async () => {
  const pod = await suite.pod();
  const ways: [DeepPartial<ContainerConfig>, RegExp][] = [
    [{ CDIDevices: [{ name: 'vendor.com/gpu=0' }] }, /config\.CDI_devices: /],
    [{ annotations: { 'cdi.k8s.io/x': 'vendor.com/gpu=0' } }, /config\.annotations\["cdi/],
  ];
  for (const [config, details] of ways) {
    await assert.rejects(pod.create(config), { code: Code.UNIMPLEMENTED, details });
  }
});

test('an image has one id, wherever it is told, and it names the image everywhere', async () => {
  const { client, image } = suite;
  const { image: found } = await client.imageStatus({ image: { image } });
  const imageId = found?.id ?? '';
  assert.match(imageId, /^sha256:[0-9a-f]{64}$/);
  const pod = await suite.pod();
  const id = await pod.run({ image: { image: imageId, userSpecifiedImage: image } });
  const status = await suite.status(id);
  const { containers } = await client.listContainers({ filter: { id } });
  assert.deepEqual([status.imageId, containers[0]?.imageId], [imageId, imageId]);
  assert.equal(status.image?.userSpecifiedImage, image);
  assert.equal((await client.imageStatus({ image: { image: imageId } })).image?.id, imageId);
  const { images } = await client.listImages({ filter: { image: { image: imageId } } });
  assert.deepEqual(
    images.map((each) => each.id),
    [imageId],
  );
});

test('an image is removed with all its tags, by any of them', async () => {
  const { client } = suite;
  const [first, second] = ['test.local/one:1', 'test.local/other:2'];
  // The same files are the same image.
  await suite.server.importBusybox(first);
  await suite.server.importBusybox(second);
  const { image } = await client.imageStatus({ image: { image: first } });
  assert.deepEqual(image?.repoTags.filter((tag) => [first, second].includes(tag)).sort(), [
    first,
    second,
  ]);
  await client.removeImage({ image: { image: second } });
  for (const name of [first, second, image?.id ?? '']) {
    assert.equal((await client.imageStatus({ image: { image: name } })).image, undefined);
  }
  await suite.server.importBusybox(suite.image);
});

test('ExecSync gives 16 MiB of each stream, and the process is not killed for more', async () => {
  const id = await (await suite.pod()).run();
  const script = 'head -c 20000000 /dev/zero; head -c 20000000 /dev/zero >&2; exit 3';
  const answer = await suite.client.execSync({ containerId: id, cmd: ['sh', '-c', script] });
  assert.deepEqual([answer.stdout.length, answer.stderr.length], [16 * MiB, 16 * MiB]);
  assert.equal(answer.exitCode, 3);
});

test('newer fields of images, file systems and usage are filled', async () => {
  const { client } = suite;
  const id = await (await suite.pod()).run({
    linux: { resources: { memoryLimitInBytes: 64n << 20n } },
  });
  await suite.shell(id, 'head -c 1000000 /dev/zero > /file');
  const { images } = await client.listImages({});
  assert.ok(images.every(({ pinned }) => pinned === false));
  const { imageFilesystems, containerFilesystems } = await client.imageFsInfo({});
  assert.deepEqual([imageFilesystems.length, containerFilesystems.length], [1, 1]);
  const { stats } = await client.containerStats({ containerId: id });
  assert.ok((stats?.cpu?.usageCoreNanoSeconds?.value ?? 0n) > 0n);
  assert.ok((stats?.memory?.workingSetBytes?.value ?? 0n) > 0n);
  // What the kernel has not is absent, not zero.
  for (const part of [stats?.cpu?.psi, stats?.memory?.psi, stats?.io?.psi]) {
    if (part) assert.ok(part.Some);
  }
});

test('PodSandboxStatus and an event have the same containers of one moment', async () => {
  const { client } = suite;
  const pod = await suite.pod();
  const first = await pod.run();
  const stop = new AbortController();
  const events = client.getContainerEvents({}, { signal: stop.signal })[Symbol.asyncIterator]();
  const next = events.next();
  const second = await pod.run({ command: ['true'] });
  await exited(suite.server, second);
  const seen = new Map<string, string[]>();
  for (let event = await next; !event.done; event = await events.next()) {
    const { containerId, containersStatuses, createdAt, podSandboxStatus } = event.value;
    assert.ok(createdAt > 0n);
    if (containerId !== second) continue;
    assert.equal(podSandboxStatus?.id, pod.id);
    assert.deepEqual(containersStatuses.map((each) => each.id).sort(), [first, second].sort());
    const own = containersStatuses.find((each) => each.id === second);
    seen.set(String(event.value.containerEventType), [String(own?.state)]);
    if (own?.finishedAt !== 0n) break;
  }
  stop.abort();
  assert.ok(seen.size >= 1);
  const answer = await client.podSandboxStatus({ podSandboxId: pod.id });
  assert.deepEqual(answer.containersStatuses.map((each) => each.id).sort(), [first, second].sort());
  assert.ok(answer.timestamp >= (answer.status?.createdAt ?? answer.timestamp + 1n));
});

test('what is not there is NOT_FOUND', async () => {
  const { client } = suite;
  const id = 'f'.repeat(64);
  const pod = await suite.pod();
  const image = { image: 'test.local/none:1' };
  const calls: Record<string, () => Promise<unknown>> = {
    podSandboxStatus: () => client.podSandboxStatus({ podSandboxId: id }),
    updatePodSandboxResources: () => client.updatePodSandboxResources({ podSandboxId: id }),
    createContainer: () =>
      client.createContainer({
        podSandboxId: id,
        config: { metadata: { name: 'c' }, image: { image: suite.image } },
      }),
    'createContainer without its image': () => pod.create({ image }),
    startContainer: () => client.startContainer({ containerId: id }),
    containerStatus: () => client.containerStatus({ containerId: id }),
    updateContainerResources: () => client.updateContainerResources({ containerId: id }),
    reopenContainerLog: () => client.reopenContainerLog({ containerId: id }),
    execSync: () => client.execSync({ containerId: id, cmd: ['true'] }),
    exec: () => client.exec({ containerId: id, cmd: ['true'], stdout: true }),
    attach: () => client.attach({ containerId: id, stdout: true }),
    portForward: () => client.portForward({ podSandboxId: id, port: [80] }),
    containerStats: () => client.containerStats({ containerId: id }),
    podSandboxStats: () => client.podSandboxStats({ podSandboxId: id }),
  };
  for (const [name, call] of Object.entries(calls)) {
    await assert.rejects(call(), { code: Code.NOT_FOUND }, name);
  }
});

test('messages may be far larger than the default of gRPC, and lists come in parts', async () => {
  const { client } = suite;
  const pod = await suite.pod({ labels: { large: 'yes' } });
  const annotations = { note: 'x'.repeat(3 * MiB) };
  const ids: string[] = [];
  for (let turn = 0; turn < 3; turn += 1) ids.push(await pod.create({ annotations }));
  ids.push(await pod.create({ annotations: { note: 'x'.repeat(12 * MiB) } }));
  const filter = { podSandboxId: pod.id };
  const { containers } = await client.listContainers({ filter });
  assert.deepEqual(containers.map((each) => each.id).sort(), ids.sort());
  const parts: string[][] = [];
  for await (const part of client.streamContainers({ filter })) {
    parts.push(part.containers.map((each) => each.id));
  }
  assert.deepEqual(parts.flat().sort(), ids.sort());
  assert.ok(parts.length >= 4, String(parts.length));
});
