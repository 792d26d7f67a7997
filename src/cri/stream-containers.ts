import { batches } from './batches.ts';
import type { ServerStreaming } from './call.ts';
import { containerMessage } from './container-status-message.ts';
import {
  Container,
  type StreamContainersRequest,
  type StreamContainersResponse,
} from './gen/cri.ts';
import { matchingContainers } from './list-containers.ts';

/** ListContainers in parts: all of them as they were when the call came. */
export const streamContainers: ServerStreaming<StreamContainersRequest, StreamContainersResponse> =
  async function* (ctx, { filter }) {
    const containers = matchingContainers(ctx, filter).map(containerMessage);
    for (const batch of batches(containers, Container)) yield { containers: batch };
  };
