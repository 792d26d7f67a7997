import { startContainer as start } from '../runtime/start.ts';
import type { Unary } from './call.ts';
import type { StartContainerRequest, StartContainerResponse } from './gen/cri.ts';

/** A client that goes away does not undo the start: it would leave the container's state to luck. */
export const startContainer: Unary<StartContainerRequest, StartContainerResponse> = async (
  ctx,
  { containerId },
) => {
  await start(ctx, containerId);
  return {};
};
