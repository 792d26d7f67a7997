import type { Unary } from './call.ts';
import { hasLabels, hasPrefix } from './filter.ts';
import type { ListPodSandboxRequest, ListPodSandboxResponse } from './gen/cri.ts';
import { sandboxMessage, sandboxStateMessage } from './sandbox-status-message.ts';

export const listPodSandbox: Unary<ListPodSandboxRequest, ListPodSandboxResponse> = async (
  ctx,
  { filter },
) => ({
  items: ctx.sandboxes
    .list()
    .filter(
      (sandbox) =>
        hasPrefix(sandbox.record.id, filter?.id) &&
        (!filter?.state || filter.state.state === sandboxStateMessage(sandbox)) &&
        hasLabels(sandbox.record.config.labels, filter?.labelSelector),
    )
    .map(sandboxMessage),
});
