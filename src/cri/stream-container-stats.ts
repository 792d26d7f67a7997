import { batches } from './batches.ts';
import type { ServerStreaming } from './call.ts';
import {
  ContainerStats,
  type StreamContainerStatsRequest,
  type StreamContainerStatsResponse,
} from './gen/cri.ts';
import { listContainerStats } from './stats-lists.ts';

/** ListContainerStats in parts: all of them as they were when the call came. */
export const streamContainerStats: ServerStreaming<
  StreamContainerStatsRequest,
  StreamContainerStatsResponse
> = async function* (ctx, { filter }, signal) {
  const stats = await listContainerStats(ctx, filter, signal);
  for (const batch of batches(stats, ContainerStats)) yield { containerStats: batch };
};
