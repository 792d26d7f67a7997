import { batches } from './batches.ts';
import type { ServerStreaming } from './call.ts';
import {
  PodSandboxMetrics,
  type StreamPodSandboxMetricsRequest,
  type StreamPodSandboxMetricsResponse,
} from './gen/cri.ts';
import { listPodSandboxMetrics } from './stats-lists.ts';

/** ListPodSandboxMetrics in parts: all of them as they were when the call came. */
export const streamPodSandboxMetrics: ServerStreaming<
  StreamPodSandboxMetricsRequest,
  StreamPodSandboxMetricsResponse
> = async function* (ctx, _request, signal) {
  const metrics = await listPodSandboxMetrics(ctx, signal);
  for (const batch of batches(metrics, PodSandboxMetrics)) yield { podSandboxMetrics: batch };
};
