import type { Unary } from './call.ts';
import { containerMessage, containerStateMessage } from './container-status-message.ts';
import { hasLabels, hasPrefix } from './filter.ts';
import type { ListContainersRequest, ListContainersResponse } from './gen/cri.ts';

export const listContainers: Unary<ListContainersRequest, ListContainersResponse> = async (
  ctx,
  { filter },
) => ({
  containers: ctx.containers
    .list()
    .filter(
      (container) =>
        hasPrefix(container.record.id, filter?.id) &&
        hasPrefix(container.record.sandboxId, filter?.podSandboxId) &&
        (!filter?.state || filter.state.state === containerStateMessage(container)) &&
        hasLabels(container.record.config.labels, filter?.labelSelector),
    )
    .map(containerMessage),
});
