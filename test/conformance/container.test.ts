/** What the CRI asks of every container: its life, its attributes, its commands, its log. */
import assert from 'node:assert/strict';
import { mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { status as Code } from '@grpc/grpc-js';
import { ContainerState } from '../../src/cri/gen/cri.ts';
import { conformanceSuite, eventually, readLog } from '../helpers/conformance.ts';

const suite = conformanceSuite();
const { CONTAINER_CREATED, CONTAINER_RUNNING, CONTAINER_EXITED } = ContainerState;

const listed = async (id: string) =>
  (await suite.client.listContainers({ filter: { id } })).containers;

test('a created container is listed, and has not begun (CR-15, SS-1)', async () => {
  const pod = await suite.pod();
  const id = await pod.create();
  const [container] = await listed(id);
  assert.deepEqual([container?.id, container?.podSandboxId], [id, pod.id]);
  assert.equal(container?.state, CONTAINER_CREATED);
  const { createdAt, startedAt, finishedAt } = await suite.status(id);
  assert.ok(createdAt > 0n);
  assert.deepEqual([startedAt, finishedAt], [0n, 0n]);
});

test('name, attempt, labels and annotations are kept in status and list', async () => {
  const pod = await suite.pod();
  const metadata = { name: 'with-attributes', attempt: 2 };
  const labels = { foo: 'bar', 'io.kubernetes.pod.name': 'fake-pod-name' };
  const annotations = { abc: 'def' };
  const id = await pod.create({ metadata, labels, annotations });
  for (const found of [await suite.status(id), ...(await listed(id))]) {
    assert.deepEqual(found.metadata, metadata);
    assert.deepEqual([found.labels, found.annotations], [labels, annotations]);
  }
  const { containers } = await suite.client.listContainers({ filter: { labelSelector: labels } });
  assert.deepEqual(
    containers.map((each) => each.id),
    [id],
  );
});

test('a started container runs and a stopped one has exited, once the call returns (ST-19, SP-9)', async () => {
  const pod = await suite.pod();
  const id = await pod.run();
  await suite.assertState(id, CONTAINER_RUNNING);
  await suite.client.stopContainer({ containerId: id, timeout: 30n });
  await suite.assertState(id, CONTAINER_EXITED);
  const { exitCode, reason, createdAt, startedAt, finishedAt } = await suite.status(id);
  assert.deepEqual([exitCode, reason], [0, 'Completed']);
  assert.ok(createdAt <= startedAt && startedAt <= finishedAt);
});

test('a container that does not end when asked to is killed after the grace period (SP-7, SP-9)', async () => {
  const pod = await suite.pod();
  const id = await pod.run({ command: ['sh', '-c', 'trap "" TERM; while :; do sleep 1; done'] });
  const began = Date.now();
  await suite.client.stopContainer({ containerId: id, timeout: 1n });
  assert.ok(Date.now() - began >= 950);
  const { state, exitCode } = await suite.status(id);
  assert.deepEqual([state, exitCode], [CONTAINER_EXITED, 137]);
});

test('a created, a running and a stopped container can be removed (RM-2)', async () => {
  const pod = await suite.pod();
  const stopped = await pod.run();
  await suite.client.stopContainer({ containerId: stopped, timeout: 30n });
  for (const containerId of [await pod.create(), await pod.run(), stopped]) {
    await suite.client.removeContainer({ containerId });
    assert.deepEqual(await listed(containerId), []);
    await assert.rejects(suite.client.containerStatus({ containerId }), { code: Code.NOT_FOUND });
  }
});

test('ExecSync answers with both streams and the exit code (XS-1)', async () => {
  const pod = await suite.pod();
  const id = await pod.run();
  assert.deepEqual(await suite.exec(id, 'echo', '-n', 'hello'), {
    stdout: 'hello',
    stderr: '',
    exitCode: 0,
  });
  assert.deepEqual(await suite.exec(id, 'sh', '-c', 'echo out; echo err >&2; exit 7'), {
    stdout: 'out\n',
    stderr: 'err\n',
    exitCode: 7,
  });
});

test('ExecSync past its timeout is an error, and its process is gone (XS-5)', async () => {
  const pod = await suite.pod();
  const containerId = await pod.run();
  const began = Date.now();
  await assert.rejects(
    suite.client.execSync({ containerId, cmd: ['sleep', '4321'], timeout: 1n }),
    { code: Code.DEADLINE_EXCEEDED },
  );
  assert.ok(Date.now() - began < 3000);
  assert.equal(
    await suite.shell(containerId, 'cat /proc/[0-9]*/cmdline | grep -c 432[1] || :'),
    '0',
  );
  await suite.assertState(containerId, CONTAINER_RUNNING);
});

test('a host directory is a volume, also through a symbolic link', async () => {
  const pod = await suite.pod();
  const hostPath = join(suite.server.dir, 'volume');
  const link = `${hostPath}-link`;
  mkdirSync(hostPath);
  writeFileSync(join(hostPath, 'flag'), '');
  symlinkSync(hostPath, link);
  for (const path of [hostPath, link]) {
    const id = await pod.run({ mounts: [{ hostPath: path, containerPath: path }] });
    assert.equal(await suite.shell(id, `ls -A ${path}`), 'flag');
  }
});

test('the log is whole, in order and by stream, as soon as the exit is seen (LG-1, LG-13, EX-8)', async () => {
  const pod = await suite.pod();
  const { log } = await pod.complete({
    command: ['sh', '-c', 'for i in 1 2 3; do echo out $i; done; echo err >&2; echo -n rest'],
  });
  const of = (stream: string) =>
    log.filter((line) => line.stream === stream).map(({ tag, text }) => `${tag} ${text}`);
  assert.deepEqual(of('stdout'), ['F out 1', 'F out 2', 'F out 3', 'P rest']);
  assert.deepEqual(of('stderr'), ['F err']);
});

test('a log that was renamed is continued under its name, and no line is lost (LG-9)', async () => {
  const pod = await suite.pod();
  const script = 'i=0; while :; do i=$((i+1)); echo $i; usleep 1000; done';
  const containerId = await pod.run({ command: ['sh', '-c', script], logPath: 'rotated.log' });
  const path = join(pod.logDirectory, 'rotated.log');
  const written = (file: string) => readLog(file).map(({ text }) => Number(text));
  await eventually('a first line', () => written(path)[0]);
  renameSync(path, `${path}.old`);
  await suite.client.reopenContainerLog({ containerId });
  await eventually('a line in the new log', () => written(path)[0]);
  const old = written(`${path}.old`);
  await sleep(100);
  assert.deepEqual(written(`${path}.old`), old);
  await suite.client.stopContainer({ containerId, timeout: 0n });
  const all = [...old, ...written(path)];
  assert.deepEqual(
    all,
    all.map((_, index) => index + 1),
  );
  await assert.rejects(suite.client.reopenContainerLog({ containerId }), {
    code: Code.FAILED_PRECONDITION,
  });
});
