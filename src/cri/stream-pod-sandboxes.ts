import { batches } from './batches.ts';
import type { ServerStreaming } from './call.ts';
import {
  PodSandbox,
  type StreamPodSandboxesRequest,
  type StreamPodSandboxesResponse,
} from './gen/cri.ts';
import { listPodSandbox } from './list-pod-sandbox.ts';

/** ListPodSandbox in parts: all of them as they were when the call came. */
export const streamPodSandboxes: ServerStreaming<
  StreamPodSandboxesRequest,
  StreamPodSandboxesResponse
> = async function* (ctx, request, signal) {
  const { items } = await listPodSandbox(ctx, request, signal);
  for (const batch of batches(items, PodSandbox)) yield { podSandboxes: batch };
};
