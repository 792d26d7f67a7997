import { abortError, CoracleError, messageOf } from '../errors.ts';
import type { RuntimeContext } from '../runtime/context.ts';
import type { ContainerEvent, PodEvent } from '../runtime/events.ts';
import type { ServerStreaming } from './call.ts';
import { describeContainer } from './container-status.ts';
import { Feed } from './feed.ts';
import {
  type ContainerEventResponse,
  ContainerEventType,
  type GetEventsRequest,
} from './gen/cri.ts';
import { sandboxStatusMessage } from './sandbox-status-message.ts';

/** How far a client may fall behind before its stream ends. */
const CAPACITY = 1000;

const TYPES = {
  created: ContainerEventType.CONTAINER_CREATED_EVENT,
  started: ContainerEventType.CONTAINER_STARTED_EVENT,
  stopped: ContainerEventType.CONTAINER_STOPPED_EVENT,
  deleted: ContainerEventType.CONTAINER_DELETED_EVENT,
} as const;

/**
 * What happens to containers and pods, from now on. A pod's own events have its id as container id.
 * Statuses are those of the moment of the event.
 *
 * A client that reads too slowly holds up nobody: it gets RESOURCE_EXHAUSTED, has to list anew, and
 * may subscribe again (G-11, G-12).
 */
export const getContainerEvents: ServerStreaming<GetEventsRequest, ContainerEventResponse> =
  async function* (ctx, _request, signal) {
    const feed = new Feed<ContainerEventResponse>(CAPACITY);
    const onAbort = () => feed.fail(abortError(signal));
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    const unfollow = ctx.events.follow({
      event: (event) => {
        if (!feed.ended) deliver(ctx, feed, event);
      },
      closed: () => feed.fail(new CoracleError('Unavailable', 'the server is stopping')),
    });
    try {
      yield* feed;
    } finally {
      unfollow();
      signal.removeEventListener('abort', onAbort);
    }
  };

/** Nothing of this may reach the one to whom the event happened. */
function deliver(
  ctx: RuntimeContext,
  feed: Feed<ContainerEventResponse>,
  event: ContainerEvent | PodEvent,
): void {
  try {
    feed.put(eventMessage(ctx, event));
  } catch (error) {
    feed.fail(new CoracleError('Internal', messageOf(error), { cause: error }));
  }
}

function eventMessage(
  ctx: RuntimeContext,
  event: ContainerEvent | PodEvent,
): ContainerEventResponse {
  const ofPod = 'sandbox' in event;
  const id = ofPod ? event.sandbox.record.id : event.sandboxId;
  const sandbox = ofPod ? event.sandbox : ctx.sandboxes.find(id);
  return {
    containerId: ofPod ? id : event.containerId,
    containerEventType: TYPES[event.type],
    createdAt: event.at,
    podSandboxStatus: sandbox && sandboxStatusMessage(sandbox),
    containersStatuses: ctx.containers
      .list()
      .filter(({ record }) => record.sandboxId === id)
      .map((container) => describeContainer(ctx, container)),
  };
}
