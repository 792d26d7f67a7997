/** Every field of a response that docs/cri.md calls filled has been seen with a value. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { NamespaceMode, Signal } from '../../src/cri/gen/cri.ts';
import { conformanceSuite } from '../helpers/conformance.ts';
import { camel, messages, rows, rpcs } from '../helpers/cri-document.ts';
import { exited } from '../helpers/pod.ts';

const suite = conformanceSuite();

/** What depends on the host, or takes more than a server with an imported image. */
const ELSEWHERE: Record<string, string> = {
  'PullImageResponse.image_ref': 'takes a registry: image-registry.test.ts',
  'PodSandboxNetworkStatus.additional_ips': 'takes IPv6: embedded-network.test.ts',
  'PodIP.ip': 'takes IPv6: embedded-network.test.ts',
  'NetworkUsage.interfaces': 'takes a pod with several interfaces',
  'NetworkInterfaceUsage.rx_errors': 'takes a faulty link; zero is a value',
  'NetworkInterfaceUsage.tx_errors': 'takes a faulty link; zero is a value',
  'Image.uid': 'takes an image with a numeric user: image-pulls.test.ts',
  'Image.username': 'takes an image with a user: image-pulls.test.ts',
  'Image.pinned': 'takes a setting: cri-images.test.ts',
  'Image.repo_digests': 'takes a registry: image-registry.test.ts',
  'SwapUsage.swap_usage_bytes': 'takes a host that accounts swap; zero is a value',
  'SwapUsage.swap_available_bytes': 'takes a host that accounts swap',
  'SwapUsage.timestamp': 'takes a host that accounts swap',
  'ContainerStats.swap': 'takes a host that accounts swap',
  'RuntimeCondition.reason': 'is empty where all is well',
  'RuntimeCondition.message': 'is empty where all is well',
};
/** Of cgroup v2. */
const PSI = /^(PsiStats|PsiData|IoUsage)\.|\.(psi|io)$/;

const seen = new Set<string>();

/** Notes which fields of a message of this type have another value than none. */
function look(type: string, message: object): void {
  for (const [field, fieldType] of messages.get(type) ?? []) {
    const value = (message as Record<string, unknown>)[camel(field)];
    const items = Array.isArray(value) ? value : value === undefined ? [] : [value];
    for (const item of items) {
      if (messages.has(fieldType) && typeof item === 'object') look(fieldType, item);
    }
    const plain = typeof value === 'object' && value !== null && !messages.has(fieldType);
    const none = plain ? Object.keys(value).length === 0 : !value;
    if (!none) seen.add(`${type}.${field}`);
  }
}

type Method = (request: object) => Promise<object> & AsyncIterable<object>;

async function call<T = Record<string, never>>(name: string, request: object = {}): Promise<T> {
  const method = name.charAt(0).toLowerCase() + name.slice(1);
  const { response = '' } = rpcs.find((rpc) => rpc.name === name) ?? {};
  const answer = await (suite.client as unknown as Record<string, Method>)[method]?.(request);
  look(response, answer ?? {});
  return answer as T;
}

/** The first parts of a stream. */
async function stream(name: string, parts: number, during?: () => Promise<void>): Promise<void> {
  const method = name.charAt(0).toLowerCase() + name.slice(1);
  const { response = '' } = rpcs.find((rpc) => rpc.name === name) ?? {};
  const answers = (suite.client as unknown as Record<string, Method>)[method]?.({});
  let left = parts;
  const reading = (async () => {
    for await (const part of answers ?? []) {
      look(response, part);
      left -= 1;
      if (left === 0) break;
    }
  })();
  await during?.();
  await reading;
}

test('the server, its images and what they take', async () => {
  for (const name of ['Version', 'RuntimeConfig', 'ImageFsInfo', 'ListImages']) await call(name);
  await call('Status', { verbose: true });
  await call('ImageStatus', { image: { image: suite.image }, verbose: true });
  await stream('StreamImages', 1);
});

test('a pod with a container that runs and others that ended or never began', async () => {
  const hostPath = join(suite.server.dir, 'volume');
  mkdirSync(hostPath);
  const pod = await suite.pod({
    labels: { l: '1' },
    annotations: { a: '1' },
    linux: { securityContext: { namespaceOptions: { pid: NamespaceMode.CONTAINER } } },
  });
  const more = {
    labels: { l: '1' },
    annotations: { a: '1' },
    stopSignal: Signal.SIGNAL_SIGUSR1,
    mounts: [{ containerPath: '/volume', hostPath, readonly: true, mountOptions: ['noexec'] }],
    image: { image: suite.image, userSpecifiedImage: suite.image, annotations: { i: '1' } },
    linux: {
      resources: { cpuShares: 512n, memoryLimitInBytes: 64n << 20n, oomScoreAdj: 100n },
      securityContext: {
        namespaceOptions: { pid: NamespaceMode.CONTAINER },
        runAsUser: { value: 1000n },
        runAsGroup: { value: 1000n },
        supplementalGroups: [3000n],
      },
    },
  };
  let containerId = '';
  await stream('GetContainerEvents', 2, async () => {
    containerId = await pod.run({ ...more, command: ['sh', '-c', 'while :; do :; done'] });
  });
  const failed = await pod.create({ ...more, command: ['/no/such'] });
  await assert.rejects(suite.client.startContainer({ containerId: failed }));
  await exited(suite.server, failed);
  const script = 'echo out; echo err >&2; exit 3';
  await call('ExecSync', { containerId, cmd: ['sh', '-c', script] });
  await call('Exec', { containerId, cmd: ['true'], stdout: true });
  await call('Attach', { containerId, stdout: true });
  await call('PortForward', { podSandboxId: pod.id, port: [80] });
  for (const id of [containerId, failed]) {
    await call('ContainerStatus', { containerId: id, verbose: true });
  }
  const request = { podSandboxId: pod.id, verbose: true };
  await call('PodSandboxStatus', request);
  await call('ListContainers');
  await call('ListPodSandbox');
  await stream('StreamContainers', 1);
  await stream('StreamPodSandboxes', 1);
  await call('ContainerStats', { containerId });
  // A rate takes two samples.
  await new Promise((resolve) => setTimeout(resolve, 1500));
  await call('ContainerStats', { containerId });
  await call('PodSandboxStats', { podSandboxId: pod.id });
  for (const name of ['ListContainerStats', 'ListPodSandboxStats', 'ListPodSandboxMetrics']) {
    await call(name);
  }
  await call('ListMetricDescriptors');
  await stream('StreamContainerStats', 1);
  await stream('StreamPodSandboxStats', 1);
  await stream('StreamPodSandboxMetrics', 1);

  const config = { ...pod.config, metadata: { name: 'n', namespace: 'n', uid: 'n', attempt: 1 } };
  const made = await call<{ podSandboxId: string }>('RunPodSandbox', {
    config,
    runtimeHandler: 'native',
  });
  const { podSandboxId } = made;
  await call('CreateContainer', {
    podSandboxId,
    config: { metadata: { name: 'c' }, image: { image: suite.image }, linux: more.linux },
  });
  await call('ListPodSandbox');
  await suite.client.stopPodSandbox({ podSandboxId });
  await call('PodSandboxStatus', { podSandboxId });
  await call('ListPodSandbox', { filter: { id: podSandboxId } });
  await suite.client.removePodSandbox({ podSandboxId });
});

test('what is called filled has been, and what is called empty has not', () => {
  const expected: string[] = [];
  const empty: string[] = [];
  for (const { message, fields, verdict } of rows) {
    const names = fields.map((field) => `${message}.${field}`);
    if (verdict === 'filled') expected.push(...names);
    if (verdict === 'empty') empty.push(...names);
  }
  const missing = expected.filter(
    (name) => !seen.has(name) && !(name in ELSEWHERE) && !PSI.test(name),
  );
  assert.deepEqual(missing, []);
  assert.deepEqual(
    empty.filter((name) => seen.has(name)),
    [],
  );
});
