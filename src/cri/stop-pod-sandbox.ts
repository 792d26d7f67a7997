import { stopSandbox } from '../runtime/stop-sandbox.ts';
import type { Unary } from './call.ts';
import type { StopPodSandboxRequest, StopPodSandboxResponse } from './gen/cri.ts';

/** An unknown sandbox is stopped already (SB-9). */
export const stopPodSandbox: Unary<StopPodSandboxRequest, StopPodSandboxResponse> = async (
  ctx,
  { podSandboxId },
  signal,
) => {
  await stopSandbox(ctx, podSandboxId, signal);
  return {};
};
