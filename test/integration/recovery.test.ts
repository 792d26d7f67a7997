/** The server is killed; pods, logs and exit codes go on without it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ContainerState, PodSandboxState } from '../../src/cri/gen/cri.ts';
import { CLI } from '../helpers/cli.ts';
import { exited, runPod } from '../helpers/pod.ts';
import { serverSuite } from '../helpers/server-suite.ts';

let image: string;

const server = serverSuite(async () => {
  image = await server.importBusybox();
});

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test('EX-8, G-10: ten logging containers outlive kill -9, and what ended meanwhile is known', async () => {
  const pod = await runPod(server, image);
  const count = 6000;
  const script = (lines: number, code: number) =>
    `i=0; while [ $i -lt ${lines} ]; do i=$((i+1)); echo line $i; [ $((i % 20)) = 0 ] && sleep 0.02; done; exit ${code}`;
  const long = await Promise.all(
    Array.from({ length: 7 }, (_, index) => pod.run(['sh', '-c', script(count, 40 + index)])),
  );
  const short = await Promise.all(
    [21, 22, 23].map((code) => pod.run(['sh', '-c', script(300, code)])),
  );
  await server.end('SIGKILL');
  await pause(1500);
  await server.launch();

  const { status } = await server.client.podSandboxStatus({ podSandboxId: pod.id });
  assert.equal(status?.state, PodSandboxState.SANDBOX_READY);
  for (const [index, id] of short.entries()) {
    const { status } = await server.client.containerStatus({ containerId: id });
    assert.equal(status?.state, ContainerState.CONTAINER_EXITED, 'ended while the server was down');
    assert.equal(status?.exitCode, 21 + index);
  }
  const { containers } = await server.client.listContainers({
    filter: { state: { state: ContainerState.CONTAINER_RUNNING } },
  });
  assert.ok(containers.length > 0, 'some still run');
  for (const [index, id] of long.entries()) {
    assert.equal((await exited(server, id, 30_000)).exitCode, 40 + index);
  }
  const { containers: all } = await server.client.listContainers({});
  assert.equal(all.length, 10);
  for (const id of [...long, ...short]) {
    const { status } = await server.client.containerStatus({ containerId: id });
    const lines = readFileSync(status?.logPath ?? '', 'utf8')
      .trimEnd()
      .split('\n');
    const wanted = long.includes(id) ? count : 300;
    assert.equal(lines.length, wanted, 'every line is there once');
    for (const [index, line] of lines.entries()) {
      assert.ok(line.endsWith(` stdout F line ${index + 1}`), line);
    }
  }
  await server.client.removePodSandbox({ podSandboxId: pod.id });
});

test('2.8: containers of every state are as they were after a restart', async () => {
  const pod = await runPod(server, image);
  const created = await pod.create(['/bin/true']);
  const running = await pod.run(['sleep', '1000']);
  const ended = await pod.run(['sh', '-c', 'exit 9']);
  await exited(server, ended);
  const before = await server.client.containerStatus({ containerId: running });
  await server.end('SIGKILL');
  await server.launch();
  const state = async (containerId: string) =>
    (await server.client.containerStatus({ containerId })).status;
  assert.equal((await state(created))?.state, ContainerState.CONTAINER_CREATED);
  assert.deepEqual((await state(running))?.startedAt, before.status?.startedAt);
  assert.equal((await state(running))?.state, ContainerState.CONTAINER_RUNNING);
  assert.equal((await state(ended))?.exitCode, 9);
  await server.client.startContainer({ containerId: created });
  assert.equal((await exited(server, created)).exitCode, 0);
  const { exitCode } = await server.client.execSync({ containerId: running, cmd: ['/bin/true'] });
  assert.equal(exitCode, 0);
  await server.client.stopContainer({ containerId: running, timeout: 0n });
  assert.equal((await exited(server, running)).exitCode, 137);
  await server.client.removePodSandbox({ podSandboxId: pod.id });
});

test('SB-13: a pod whose monitor was killed is NotReady, its containers have ended, it can go', async () => {
  const pod = await runPod(server, image);
  const bystander = await runPod(server, image);
  const id = await pod.run(['sleep', '1000']);
  const other = await bystander.run(['sleep', '1000']);
  const { info } = await server.client.podSandboxStatus({ podSandboxId: pod.id, verbose: true });
  const { pid } = JSON.parse(info.info ?? '{}') as { pid: number };
  assert.match(readFileSync(join('/proc', String(pid), 'comm'), 'utf8'), /coracle-monitor/);
  process.kill(pid, 'SIGKILL');
  const status = await exited(server, id);
  assert.equal(status.exitCode, 255);
  const { status: sandbox } = await server.client.podSandboxStatus({ podSandboxId: pod.id });
  assert.equal(sandbox?.state, PodSandboxState.SANDBOX_NOTREADY);
  const untouched = await server.client.containerStatus({ containerId: other });
  assert.equal(untouched.status?.state, ContainerState.CONTAINER_RUNNING);
  await server.client.removePodSandbox({ podSandboxId: pod.id });
  await server.client.removePodSandbox({ podSandboxId: bystander.id });
});

test('a second server on the same root is refused and says who holds it', async () => {
  const { spawnSync } = await import('node:child_process');
  const args = [...CLI, 'serve', '--root', server.root];
  args.push('--state', join(server.dir, 'other'), '--listen', `unix://${server.dir}/other.sock`);
  const second = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 20_000 });
  assert.notEqual(second.status, 0);
  assert.match(second.stderr, new RegExp(`in use by process ${server.pid}`));
});
