import type { RuntimeContext } from '../runtime/context.ts';
import type { Sandbox } from '../store/sandboxes.ts';
import type { Unary } from './call.ts';
import { type Encoded, listEncoder } from './encoded.ts';
import { hasLabels, hasPrefix } from './filter.ts';
import {
  type ListPodSandboxRequest,
  ListPodSandboxResponse,
  type PodSandboxFilter,
} from './gen/cri.ts';
import { sandboxMessage, sandboxStateMessage } from './sandbox-status-message.ts';

const encode = listEncoder<Sandbox>(sandboxStateMessage, (sandbox) =>
  ListPodSandboxResponse.encode({ items: [sandboxMessage(sandbox)] }).finish(),
);

export const listPodSandbox: Unary<ListPodSandboxRequest, Encoded> = async (ctx, { filter }) =>
  encode(matchingSandboxes(ctx, filter));

/** The pods that pass a filter. */
export function matchingSandboxes(
  ctx: RuntimeContext,
  filter: PodSandboxFilter | undefined,
): Sandbox[] {
  const sandboxes = ctx.sandboxes.list();
  if (!filter) return sandboxes;
  const { id, state, labelSelector } = filter;
  return sandboxes.filter(
    (sandbox) =>
      hasPrefix(sandbox.record.id, id) &&
      (!state || state.state === sandboxStateMessage(sandbox)) &&
      hasLabels(sandbox.record.config.labels, labelSelector),
  );
}
