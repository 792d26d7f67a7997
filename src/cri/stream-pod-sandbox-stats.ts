import { batches } from './batches.ts';
import type { ServerStreaming } from './call.ts';
import {
  PodSandboxStats,
  type StreamPodSandboxStatsRequest,
  type StreamPodSandboxStatsResponse,
} from './gen/cri.ts';
import { listPodSandboxStats } from './stats-lists.ts';

/** ListPodSandboxStats in parts: all of them as they were when the call came. */
export const streamPodSandboxStats: ServerStreaming<
  StreamPodSandboxStatsRequest,
  StreamPodSandboxStatsResponse
> = async function* (ctx, { filter }, signal) {
  const stats = await listPodSandboxStats(ctx, filter, signal);
  for (const batch of batches(stats, PodSandboxStats)) yield { podSandboxStats: batch };
};
