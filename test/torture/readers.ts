/** Those who list, ask for status and stats, and follow the events, all the while. */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type ContainerEventResponse,
  ContainerEventType,
  ContainerState,
} from '../../src/cri/gen/cri.ts';
import type { Run } from './run.ts';

/** Lists and statuses, until the run is over. */
export async function read(run: Run, name: string, signal: AbortSignal): Promise<void> {
  const random = run.random(name);
  const reader = run.observer.reader(name);
  while (!signal.aborted && !run.violations.fatal) {
    await sleep(random.int(5, 150));
    const asked = run.model.tick();
    const list = await run.rpc.call('listContainers', {});
    if (list.kind !== 'ok') continue;
    reader.listed(list.value.containers, asked);
    if (random.chance(10)) await run.rpc.call('listPodSandboxStats', {});
    if (random.chance(10)) await run.rpc.call('listContainerStats', {});
    if (random.chance(10)) await run.rpc.call('listPodSandboxMetrics', {});
    if (list.value.containers.length === 0) continue;
    const container = run.model.byId(random.pick(list.value.containers).id);
    if (container) await run.status(reader, container);
  }
}

const { CONTAINER_CREATED, CONTAINER_EXITED } = ContainerState;
const {
  CONTAINER_CREATED_EVENT,
  CONTAINER_STARTED_EVENT,
  CONTAINER_STOPPED_EVENT,
  CONTAINER_DELETED_EVENT,
} = ContainerEventType;
const ORDER = [
  CONTAINER_CREATED_EVENT,
  CONTAINER_STARTED_EVENT,
  CONTAINER_STOPPED_EVENT,
  CONTAINER_DELETED_EVENT,
];

/** Follows the events of each life: in order, each once, and never ahead of the status. */
export async function follow(run: Run, signal: AbortSignal): Promise<void> {
  const reader = run.observer.reader('events');
  /** By container: how far it has come. */
  const last = new Map<string, number>();
  const over = aborted(signal);
  while (!signal.aborted && !run.violations.fatal) {
    const client = await Promise.race([run.server.client(), over]);
    if (!client) return;
    try {
      for await (const event of client.getContainerEvents({}, { signal })) {
        run.done.events += 1;
        hear(run, event, last);
        const asked = run.model.tick();
        for (const status of event.containersStatuses) reader.status(status, Math.min(asked, 0));
      }
    } catch {
      // The life is over.
    }
    await sleep(20);
  }
}

function hear(run: Run, event: ContainerEventResponse, last: Map<string, number>): void {
  const { containerId, containerEventType: type } = event;
  if (event.podSandboxStatus?.id === containerId) return;
  const container = run.model.byId(containerId);
  const key = container?.key ?? containerId;
  const name = ContainerEventType[type];
  const rank = ORDER.indexOf(type);
  const before = last.get(containerId) ?? -1;
  if (rank <= before)
    run.violate(`${key}: ${name} after ${ContainerEventType[ORDER[before] ?? 0]}`);
  last.set(containerId, rank);
  const status = event.containersStatuses.find(({ id }) => id === containerId);
  if (status === undefined) {
    // What is told late, having happened while nobody followed, may be of one that is gone.
    const gone = container?.removeAsked || container?.pod.endAsked;
    if (type !== CONTAINER_DELETED_EVENT && container && !gone) {
      run.violate(`${key}: ${name} without a status`);
    }
  } else if (type === CONTAINER_STOPPED_EVENT && status.state !== CONTAINER_EXITED) {
    run.violate(`${key}: ${name} while its state is ${ContainerState[status.state]}`);
  } else if (type === CONTAINER_STARTED_EVENT && status.state === CONTAINER_CREATED) {
    run.violate(`${key}: ${name} while its state is CONTAINER_CREATED`);
  }
}

function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
}
