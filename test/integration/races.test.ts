/** Verbs on the same container at the same time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ContainerState } from '../../src/cri/gen/cri.ts';
import { settledLeaks, snapshot } from '../helpers/leaks.ts';
import { exited, runPod, type TestPod } from '../helpers/pod.ts';
import { serverSuite } from '../helpers/server-suite.ts';

const RACES = Number(process.env.CORACLE_RACES ?? 500);

let pod: TestPod;

const server = serverSuite(async () => {
  pod = await runPod(server, await server.importBusybox());
  await server.client.removeContainer({ containerId: await pod.run(['/bin/true']) });
});

type Outcome = { ok: true } | { ok: false; message: string };

async function outcome(call: Promise<unknown>): Promise<Outcome> {
  try {
    await call;
    return { ok: true };
  } catch (error) {
    return { ok: false, message: (error as Error).message };
  }
}

async function stateOf(containerId: string): Promise<ContainerState | undefined> {
  try {
    return (await server.client.containerStatus({ containerId })).status?.state;
  } catch {
    return undefined;
  }
}

/** Runs races side by side, four at a time, each on a container of its own. */
async function race(name: string, once: (turn: number) => Promise<void>): Promise<void> {
  const before = snapshot({ pid: server.pid });
  let next = 0;
  const lane = async () => {
    while (next < RACES) {
      next += 1;
      await once(next);
    }
  };
  await Promise.all(Array.from({ length: 4 }, lane));
  const { containers } = await server.client.listContainers({});
  assert.deepEqual(containers, [], name);
  const leaks = await settledLeaks(before, { pid: server.pid });
  assert.deepEqual(leaks, {}, name);
}

/** Up to two milliseconds, so that the second call lands in every part of the first. */
const moment = () => new Promise((resolve) => setTimeout(resolve, Math.random() * 3));

test('ST-2: of 8 concurrent starts one wins, and the losers leave it alone', async () => {
  for (let turn = 0; turn < 20; turn += 1) {
    const containerId = await pod.create(['sleep', '1000']);
    const results = await Promise.all(
      Array.from({ length: 8 }, () => outcome(server.client.startContainer({ containerId }))),
    );
    assert.equal(results.filter((each) => each.ok).length, 1);
    for (const each of results) {
      if (!each.ok) assert.match(each.message, /already in starting state|is in running state/);
    }
    assert.ok(results.some((each) => !each.ok && /already in starting state/.test(each.message)));
    const { status } = await server.client.containerStatus({ containerId });
    assert.equal(status?.state, ContainerState.CONTAINER_RUNNING);
    assert.equal(status?.message, '');
    await server.client.removeContainer({ containerId });
  }
});

test('ST-3: start against remove', async () => {
  await race('start/remove', async () => {
    const containerId = await pod.create(['sleep', '1000']);
    const start = outcome(server.client.startContainer({ containerId }));
    await moment();
    const remove = await outcome(server.client.removeContainer({ containerId }));
    const started = await start;
    if (remove.ok) {
      assert.equal(await stateOf(containerId), undefined);
      return;
    }
    assert.match(remove.message, /starting state/);
    assert.ok(started.ok, started.ok ? '' : started.message);
    assert.equal(await stateOf(containerId), ContainerState.CONTAINER_RUNNING);
    await server.client.removeContainer({ containerId });
  });
});

test('G-2: start against stop: a stop that comes after the start began stops the container', async () => {
  await race('start/stop', async () => {
    const containerId = await pod.create(['sleep', '1000']);
    const start = outcome(server.client.startContainer({ containerId }));
    await moment();
    await server.client.stopContainer({ containerId, timeout: 0n });
    assert.ok((await start).ok);
    assert.equal((await exited(server, containerId)).exitCode, 137);
    await server.client.removeContainer({ containerId });
  });
});

test('ST-24: stop against exec: the exec ends or is refused, and the stop always stops', async () => {
  await race('stop/exec', async () => {
    const containerId = await pod.run(['sleep', '1000']);
    const exec = outcome(server.client.execSync({ containerId, cmd: ['/bin/echo', 'x'] }));
    await moment();
    await server.client.stopContainer({ containerId, timeout: 0n });
    await exec;
    assert.equal((await exited(server, containerId)).exitCode, 137);
    await server.client.removeContainer({ containerId });
  });
});
