/** From an image to a running container and its exit, over a real gRPC connection. */
import assert from 'node:assert/strict';
import { readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ContainerState, NamespaceMode, PodSandboxState } from '../../src/cri/gen/cri.ts';
import { exited, runPod } from '../helpers/pod.ts';
import { serverSuite } from '../helpers/server-suite.ts';

let image: string;

const server = serverSuite(async () => {
  image = await server.importBusybox();
});

test('Version and Status name the runtime, its conditions and its handlers', async () => {
  const version = await server.client.version({});
  assert.equal(version.runtimeName, 'coracle');
  assert.equal(version.runtimeApiVersion, 'v1');
  const { status, runtimeHandlers } = await server.client.status({ verbose: true });
  const conditions = new Map(status?.conditions.map((each) => [each.type, each.status]));
  assert.equal(conditions.get('RuntimeReady'), true);
  assert.equal(conditions.get('NetworkReady'), true);
  assert.ok(runtimeHandlers.some(({ name }) => name === 'native'));
});

test('a container runs, logs in CRI format, and its exit code is kept', async () => {
  const pod = await runPod(server, image);
  const id = await pod.run(['sh', '-c', 'echo to-stdout; echo to-stderr >&2; exit 7']);
  const status = await exited(server, id);
  assert.equal(status.exitCode, 7);
  assert.equal(status.reason, 'Error');
  assert.ok(status.startedAt >= status.createdAt && status.finishedAt >= status.startedAt, 'G-8');
  const log = readFileSync(join(pod.logDir, 'c-1.log'), 'utf8');
  assert.match(log, /^\d{4}-\d\d-\d\dT[\d:.]+Z stdout F to-stdout$/m);
  assert.match(log, /^\d{4}-\d\d-\d\dT[\d:.]+Z stderr F to-stderr$/m);
  await server.client.removePodSandbox({ podSandboxId: pod.id });
});

test('a pod has an address, its hostname, and its files in /etc', async () => {
  const pod = await runPod(server, image);
  const { status } = await server.client.podSandboxStatus({ podSandboxId: pod.id });
  assert.equal(status?.state, PodSandboxState.SANDBOX_READY);
  const ip = status?.network?.ip ?? '';
  assert.match(ip, /^\d+\.\d+\.\d+\.\d+$/);
  const id = await pod.run(['sleep', '1000']);
  const run = async (script: string) => {
    const cmd = ['sh', '-c', script];
    const { stdout, exitCode } = await server.client.execSync({ containerId: id, cmd });
    assert.equal(exitCode, 0, script);
    return Buffer.from(stdout).toString().trim();
  };
  assert.equal(await run('hostname'), pod.config.metadata.name);
  assert.match(
    await run('cat /etc/hosts'),
    new RegExp(`^${ip}\\s+${pod.config.metadata.name}`, 'm'),
  );
  assert.match(await run('ip addr show eth0'), new RegExp(`inet ${ip}/`));
  assert.match(await run('ip addr show lo'), /inet 127\.0\.0\.1\/8/);
  assert.equal(await run('cat /proc/1/cmdline | tr "\\0" " "'), 'sleep 1000');
  await server.client.removePodSandbox({ podSandboxId: pod.id });
});

test('ExecSync separates streams, keeps the exit code, and kills a command over its time', async () => {
  const pod = await runPod(server, image);
  const id = await pod.run(['sleep', '1000']);
  const cmd = ['sh', '-c', 'echo out; echo err >&2; exit 3'];
  const result = await server.client.execSync({ containerId: id, cmd });
  assert.equal(Buffer.from(result.stdout).toString(), 'out\n');
  assert.equal(Buffer.from(result.stderr).toString(), 'err\n');
  assert.equal(result.exitCode, 3);
  await assert.rejects(
    server.client.execSync({ containerId: id, cmd: ['sleep', '30'], timeout: 1n }),
    { code: 4 },
    'XS-5',
  );
  const { stdout } = await server.client.execSync({ containerId: id, cmd: ['ps', '-o', 'args'] });
  assert.doesNotMatch(Buffer.from(stdout).toString(), /sleep 30/);
  await assert.rejects(
    server.client.execSync({ containerId: id, cmd: ['/no/such'] }),
    (error: Error) => /exec \/no\/such: no such file or directory/i.test(error.message),
  );
  await server.client.removePodSandbox({ podSandboxId: pod.id });
});

test('StopContainer lets a container end by itself, and kills one that does not', async () => {
  const pod = await runPod(server, image);
  const polite = await pod.run(['sh', '-c', 'trap "exit 5" TERM; while true; do sleep 0.05; done']);
  const deaf = await pod.run(['sh', '-c', 'trap "" TERM; while true; do sleep 0.05; done']);
  await new Promise((resolve) => setTimeout(resolve, 200));
  await server.client.stopContainer({ containerId: polite, timeout: 10n });
  await server.client.stopContainer({ containerId: deaf, timeout: 1n });
  assert.equal((await exited(server, polite)).exitCode, 5);
  assert.equal((await exited(server, deaf)).exitCode, 137);
  await server.client.stopContainer({ containerId: polite, timeout: 10n });
  await server.client.stopContainer({ containerId: 'f'.repeat(64), timeout: 1n });
  await server.client.removePodSandbox({ podSandboxId: pod.id });
});

test('lists filter by id prefix, state, pod and labels', async () => {
  const pod = await runPod(server, image);
  const one = await pod.run(['sleep', '1000'], { labels: { app: 'one' } });
  const two = await pod.create(['sleep', '1000'], { labels: { app: 'two' } });
  const ids = async (filter: object) => {
    const { containers } = await server.client.listContainers({ filter });
    return containers.map(({ id }) => id).sort();
  };
  assert.deepEqual(await ids({ podSandboxId: pod.id }), [one, two].sort());
  assert.deepEqual(await ids({ id: one.slice(0, 16) }), [one]);
  assert.deepEqual(await ids({ labelSelector: { app: 'two' } }), [two]);
  assert.deepEqual(await ids({ state: { state: ContainerState.CONTAINER_CREATED } }), [two]);
  const { items } = await server.client.listPodSandbox({ filter: { id: pod.id } });
  assert.equal(items.length, 1);
  await server.client.removePodSandbox({ podSandboxId: pod.id });
  assert.deepEqual(await ids({}), []);
});

test('LG-9: a log reopened under load has every line once', async () => {
  const pod = await runPod(server, image);
  const count = 200_000;
  const id = await pod.run(['sh', '-c', `sleep 0.3; seq 1 ${count}`]);
  const path = join(pod.logDir, 'c-1.log');
  const parts: string[] = [];
  for (let turn = 0; turn < 8; turn += 1) {
    await new Promise((resolve) => setTimeout(resolve, 60));
    const { status } = await server.client.containerStatus({ containerId: id });
    if (status?.state !== ContainerState.CONTAINER_RUNNING) break;
    renameSync(path, `${path}.${turn}`);
    parts.push(`${path}.${turn}`);
    await server.client.reopenContainerLog({ containerId: id }).catch(() => {});
  }
  await exited(server, id);
  const text = [...parts, path].map((file) => {
    try {
      return readFileSync(file, 'utf8');
    } catch {
      return '';
    }
  });
  const lines = text
    .join('')
    .trimEnd()
    .split('\n')
    .map((line) => line.split(' ').slice(3).join(' '));
  assert.equal(lines.length, count);
  assert.ok(lines.every((line, index) => line === String(index + 1)));
  await server.client.removePodSandbox({ podSandboxId: pod.id });
});

test('SP-11: in a shared PID namespace the whole container ends, and its neighbours go on', async () => {
  const pod = await runPod(server, image, NamespaceMode.POD);
  const first = await pod.run(['sh', '-c', 'sleep 1000 & sleep 1001']);
  const second = await pod.run(['sleep', '1002']);
  const processes = async () => {
    const cmd = ['ps', '-o', 'args'];
    return Buffer.from(
      (await server.client.execSync({ containerId: second, cmd })).stdout,
    ).toString();
  };
  // The shell starts its own child in its own time.
  while (!/sleep 1000/.test(await processes())) await new Promise(setImmediate);
  assert.match(await processes(), /coracle-reaper[\s\S]*sleep 1002/);
  await server.client.stopContainer({ containerId: first, timeout: 0n });
  assert.doesNotMatch(await processes(), /sleep 100[01]/);
  const { status } = await server.client.containerStatus({ containerId: second });
  assert.equal(status?.state, ContainerState.CONTAINER_RUNNING);
  await server.client.removePodSandbox({ podSandboxId: pod.id });
});

test('bad input names the field', async () => {
  await assert.rejects(
    server.client.runPodSandbox({ config: { metadata: { name: '' } } }),
    (e: Error) => /metadata\.name/.test(e.message),
  );
  await assert.rejects(server.client.containerStatus({ containerId: 'nosuch' }), { code: 5 });
  await assert.rejects(
    server.client.runPodSandbox({
      config: { metadata: { name: 'a', uid: 'b', namespace: 'c' } },
      runtimeHandler: 'kata',
    }),
    (e: Error) => /kata/.test(e.message),
  );
  await assert.rejects(server.client.exec({ containerId: 'x' }), { details: /^cmd: / });
});
