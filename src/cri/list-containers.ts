import type { RuntimeContext } from '../runtime/context.ts';
import type { Container } from '../store/containers.ts';
import type { Unary } from './call.ts';
import { containerMessage, containerStateMessage } from './container-status-message.ts';
import { type Encoded, listEncoder } from './encoded.ts';
import { hasLabels, hasPrefix } from './filter.ts';
import {
  type ContainerFilter,
  type ListContainersRequest,
  ListContainersResponse,
} from './gen/cri.ts';

const encode = listEncoder<Container>(containerStateMessage, (container) =>
  ListContainersResponse.encode({ containers: [containerMessage(container)] }).finish(),
);

export const listContainers: Unary<ListContainersRequest, Encoded> = async (ctx, { filter }) =>
  encode(matchingContainers(ctx, filter));

/** The containers that pass a filter. */
export function matchingContainers(
  ctx: RuntimeContext,
  filter: ContainerFilter | undefined,
): Container[] {
  const containers = ctx.containers.list();
  if (!filter) return containers;
  const { id, podSandboxId, state, labelSelector } = filter;
  return containers.filter(
    (container) =>
      hasPrefix(container.record.id, id) &&
      hasPrefix(container.record.sandboxId, podSandboxId) &&
      (!state || state.state === containerStateMessage(container)) &&
      hasLabels(container.record.config.labels, labelSelector),
  );
}
