import type { RuntimeContext } from '../runtime/context.ts';
import type { Unary } from './call.ts';
import type { UpdateRuntimeConfigRequest, UpdateRuntimeConfigResponse } from './gen/cri.ts';

/** Told anew by kubelet after each of its starts, so it lives no longer than the runtime. */
const podCidrs = new WeakMap<RuntimeContext, string>();

/** Takes note of the node's range of pod addresses; an empty one changes nothing. */
export const updateRuntimeConfig: Unary<
  UpdateRuntimeConfigRequest,
  UpdateRuntimeConfigResponse
> = async (ctx, request) => {
  const cidr = request.runtimeConfig?.networkConfig?.podCidr;
  if (cidr) podCidrs.set(ctx, cidr);
  return {};
};

/** The range that kubelet has told; undefined before it has. */
export function podCidrOf(ctx: RuntimeContext): string | undefined {
  return podCidrs.get(ctx);
}
