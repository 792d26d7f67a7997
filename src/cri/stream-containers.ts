import { batches } from './batches.ts';
import type { ServerStreaming } from './call.ts';
import {
  Container,
  type StreamContainersRequest,
  type StreamContainersResponse,
} from './gen/cri.ts';
import { listContainers } from './list-containers.ts';

/** ListContainers in parts: all of them as they were when the call came. */
export const streamContainers: ServerStreaming<StreamContainersRequest, StreamContainersResponse> =
  async function* (ctx, request, signal) {
    const { containers } = await listContainers(ctx, request, signal);
    for (const batch of batches(containers, Container)) yield { containers: batch };
  };
