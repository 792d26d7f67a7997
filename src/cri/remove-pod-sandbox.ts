import { removeSandbox } from '../runtime/remove-sandbox.ts';
import type { Unary } from './call.ts';
import type { RemovePodSandboxRequest, RemovePodSandboxResponse } from './gen/cri.ts';

/** An unknown sandbox is removed already (SB-10). */
export const removePodSandbox: Unary<RemovePodSandboxRequest, RemovePodSandboxResponse> = async (
  ctx,
  { podSandboxId },
  signal,
) => {
  await removeSandbox(ctx, podSandboxId, signal);
  return {};
};
