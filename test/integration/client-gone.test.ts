/** Clients of StartContainer that do not wait for its answer. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ContainerState } from '../../src/cri/gen/cri.ts';
import { settledLeaks, snapshot } from '../helpers/leaks.ts';
import { exited, runPod, type TestPod } from '../helpers/pod.ts';
import { serverSuite } from '../helpers/server-suite.ts';

let pod: TestPod;

const server = serverSuite(async () => {
  pod = await runPod(server, await server.importBusybox());
  await server.client.removeContainer({ containerId: await pod.run(['/bin/true']) });
});

const watched = () => ({ dirs: [join(server.root, 'containers'), server.state], pid: server.pid });

/** Starts it and goes away after `ms`; returns once it has left CREATED by that or a second start. */
async function startAndLeave(containerId: string, ms: number): Promise<'early' | 'answered'> {
  const caller = new AbortController();
  const start = server.client.startContainer({ containerId }, { signal: caller.signal });
  const answered = start.then(
    () => true,
    (error: Error) => !/cancel/i.test(error.message),
  );
  await sleep(ms);
  caller.abort();
  if (await answered) return 'answered';
  await sleep(50);
  const { status } = await server.client.containerStatus({ containerId });
  // So early that the server has not heard of it.
  if (status?.state === ContainerState.CONTAINER_CREATED) {
    await server.client.startContainer({ containerId }).catch(() => {});
    return 'answered';
  }
  return 'early';
}

test('ST-8, ST-15: a start whose client has gone ends as if it had stayed', async () => {
  const before = snapshot(watched());
  let gone = 0;
  for (let turn = 0; turn < 60; turn += 1) {
    const fails = turn % 2 === 0;
    const containerId = await pod.create(fails ? ['/no/such'] : ['sh', '-c', 'exit 7']);
    if ((await startAndLeave(containerId, (turn % 12) / 3)) === 'early') gone += 1;
    const { exitCode, reason } = await exited(server, containerId);
    assert.deepEqual([exitCode, reason], fails ? [128, 'StartError'] : [7, 'Error']);
    await server.client.removeContainer({ containerId });
  }
  assert.ok(gone > 0, 'some have gone while it was being started');
  assert.deepEqual(await settledLeaks(before, watched()), {});
});
