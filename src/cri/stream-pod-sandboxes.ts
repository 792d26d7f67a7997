import { batches } from './batches.ts';
import type { ServerStreaming } from './call.ts';
import {
  PodSandbox,
  type StreamPodSandboxesRequest,
  type StreamPodSandboxesResponse,
} from './gen/cri.ts';
import { matchingSandboxes } from './list-pod-sandbox.ts';
import { sandboxMessage } from './sandbox-status-message.ts';

/** ListPodSandbox in parts: all of them as they were when the call came. */
export const streamPodSandboxes: ServerStreaming<
  StreamPodSandboxesRequest,
  StreamPodSandboxesResponse
> = async function* (ctx, { filter }) {
  const items = matchingSandboxes(ctx, filter).map(sandboxMessage);
  for (const batch of batches(items, PodSandbox)) yield { podSandboxes: batch };
};
