/** Events of hundreds of containers at once: their order, and the statuses that they carry. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  type ContainerEventResponse,
  ContainerEventType as Event,
  ContainerState as State,
} from '../../src/cri/gen/cri.ts';
import { runPod, type TestPod } from '../helpers/pod.ts';
import { TestServer } from '../helpers/server.ts';
import { eventually } from '../helpers/stream-server.ts';

const PODS = 4;
const LAUNCHES = 50;

let server: TestServer;
before(async () => {
  server = await TestServer.start();
});
after(() => server.close());

/** The state that the container of an event has in it; a deleted one is not there. */
const STATES = new Map<Event, State | undefined>([
  [Event.CONTAINER_CREATED_EVENT, State.CONTAINER_CREATED],
  [Event.CONTAINER_STARTED_EVENT, State.CONTAINER_RUNNING],
  [Event.CONTAINER_STOPPED_EVENT, State.CONTAINER_EXITED],
  [Event.CONTAINER_DELETED_EVENT, undefined],
]);

/** Some end by themselves, some are stopped, the rest are removed while they run. */
async function launch(pod: TestPod, round: number): Promise<string> {
  const containerId = await pod.run(round % 3 === 0 ? ['true'] : ['sleep', '1000']);
  if (round % 3 === 1) await server.client.stopContainer({ containerId, timeout: 0n });
  await server.client.removeContainer({ containerId });
  return containerId;
}

test('each container is told of four times, in order, with its state at that moment', async () => {
  const image = await server.importBusybox();
  const pods = await Promise.all(Array.from({ length: PODS }, () => runPod(server, image)));
  const stop = new AbortController();
  const events: ContainerEventResponse[] = [];
  const reading = (async () => {
    const { signal } = stop;
    for await (const event of server.client.getContainerEvents({}, { signal })) events.push(event);
  })().catch((error: unknown) => assert.ok(stop.signal.aborted, String(error)));
  // The pods' own events show that the subscription is there.
  await eventually(() => events.length > 0, 'nobody is told');
  const launches = pods.map(async (pod) => {
    const ids: string[] = [];
    for (let round = 0; round < LAUNCHES; round++) ids.push(await launch(pod, round));
    return ids;
  });
  const ids = (await Promise.all(launches)).flat();
  const ofContainers = () => events.filter(({ containerId }) => ids.includes(containerId));
  await eventually(() => ofContainers().length >= ids.length * 4, 'events are missing');
  stop.abort();
  await reading;
  for (const id of ids) {
    const types = events.filter((event) => event.containerId === id);
    assert.deepEqual(
      types.map((event) => event.containerEventType),
      [...STATES.keys()],
    );
  }
  for (const { containerId, containerEventType, containersStatuses } of ofContainers()) {
    const own = containersStatuses.find(({ id }) => id === containerId);
    assert.equal(own?.state, STATES.get(containerEventType), containerId);
  }
  const times = events.map(({ createdAt }) => createdAt);
  assert.ok(times.every((time, index) => index === 0 || time > (times[index - 1] ?? 0n)));
});
