import type { Unary } from './call.ts';
import { describeContainer } from './container-status.ts';
import type { PodSandboxStatusRequest, PodSandboxStatusResponse } from './gen/cri.ts';
import { sandboxInfo, sandboxStatusMessage } from './sandbox-status-message.ts';

/**
 * The statuses of the pod's containers come with it, read in the same turn of the event loop as
 * the sandbox's own and stamped with that time.
 */
export const podSandboxStatus: Unary<PodSandboxStatusRequest, PodSandboxStatusResponse> = async (
  ctx,
  { podSandboxId, verbose },
) => {
  const sandbox = ctx.sandboxes.get(podSandboxId);
  const { id } = sandbox.record;
  return {
    status: sandboxStatusMessage(sandbox),
    info: verbose ? sandboxInfo(sandbox) : {},
    containersStatuses: ctx.containers
      .list()
      .filter(({ record }) => record.sandboxId === id)
      .map((container) => describeContainer(ctx, container)),
    timestamp: BigInt(Date.now()) * 1_000_000n,
  };
};
