/** EX-5, EX-6: what runs out of its memory is OOMKilled from the moment that it shows as exited. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ContainerState, type ContainerStatus } from '../../src/cri/gen/cri.ts';
import { exited, runPod, type TestPod } from '../helpers/pod.ts';
import { serverSuite } from '../helpers/server-suite.ts';

const LIMITED = { linux: { resources: { memoryLimitInBytes: 16n << 20n } } };
const HOG = 'x=a; while true; do x=$x$x; done';

let pod: TestPod;

const server = serverSuite(async () => {
  pod = await runPod(server, await server.importBusybox());
});

/** The first status of the container that says that it has exited. */
async function firstExited(containerId: string): Promise<ContainerStatus> {
  const end = Date.now() + 30_000;
  for (;;) {
    const { status } = await server.client.containerStatus({ containerId });
    if (status?.state === ContainerState.CONTAINER_EXITED) return status;
    assert.ok(Date.now() < end, 'it exits');
  }
}

test('no status shows the exit without its reason', async () => {
  for (let round = 0; round < 10; round += 1) {
    const containerId = await pod.run(['sh', '-c', HOG], LIMITED);
    const { exitCode, reason } = await firstExited(containerId);
    assert.deepEqual([exitCode, reason], [137, 'OOMKilled'], `round ${round}`);
    await server.client.removeContainer({ containerId });
  }
});

test('a child that is killed for memory is the reason, whatever code its parent makes of it', async () => {
  const cases: [string, number, string][] = [
    [`sh -c '${HOG}'; exit 3`, 3, 'OOMKilled'],
    [`sh -c '${HOG}'; exit $?`, 137, 'OOMKilled'],
    [`sh -c '${HOG}'; exit 0`, 0, 'Completed'],
    ['exit 3', 3, 'Error'],
    ['kill -9 $$', 137, 'Error'],
  ];
  for (const [script, code, wanted] of cases) {
    // Process 1 cannot be killed from inside: a shell below it is.
    const containerId = await pod.run(['sh', '-c', `sh -c "$0"; exit $?`, script], LIMITED);
    const { exitCode, reason } = await firstExited(containerId);
    assert.deepEqual([exitCode, reason], [code, wanted], script);
    await server.client.removeContainer({ containerId });
  }
});

test('an exec that is killed for memory leaves the container running, and is told after its end', async () => {
  for (const [last, wanted] of [
    ['exit 5', 'OOMKilled'],
    ['exit 0', 'Completed'],
  ] as const) {
    const script = `while ! test -e /over; do sleep 0.02; done; ${last}`;
    const containerId = await pod.run(['sh', '-c', script], LIMITED);
    const hog = await server.client.execSync({ containerId, cmd: ['sh', '-c', HOG] });
    assert.equal(hog.exitCode, 137);
    const { status } = await server.client.containerStatus({ containerId });
    assert.equal(status?.state, ContainerState.CONTAINER_RUNNING);
    await server.client.execSync({ containerId, cmd: ['touch', '/over'] });
    assert.equal((await exited(server, containerId)).reason, wanted);
    await server.client.removeContainer({ containerId });
  }
});

test('a kill while the server is away is told after its return', async () => {
  const script = `sleep 0.5; ${HOG}`;
  const containerId = await pod.run(['sh', '-c', script], LIMITED);
  await server.end('SIGKILL');
  await new Promise((resolve) => setTimeout(resolve, 2000));
  await server.launch();
  const { exitCode, reason } = await firstExited(containerId);
  assert.deepEqual([exitCode, reason], [137, 'OOMKilled']);
});
