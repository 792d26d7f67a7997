import { removeContainer as remove } from '../runtime/remove.ts';
import type { Unary } from './call.ts';
import type { RemoveContainerRequest, RemoveContainerResponse } from './gen/cri.ts';

/** An unknown container is removed already (RM-1). */
export const removeContainer: Unary<RemoveContainerRequest, RemoveContainerResponse> = async (
  ctx,
  { containerId },
  signal,
) => {
  await remove(ctx, containerId, signal);
  return {};
};
