import { stopContainer as stop } from '../runtime/stop.ts';
import type { Unary } from './call.ts';
import type { StopContainerRequest, StopContainerResponse } from './gen/cri.ts';
import { secondsToMs } from './seconds.ts';

/** A timeout of zero or less kills at once; an unknown container has stopped already (SP-1). */
export const stopContainer: Unary<StopContainerRequest, StopContainerResponse> = async (
  ctx,
  { containerId, timeout },
  signal,
) => {
  await stop(ctx, containerId, secondsToMs(timeout), signal);
  return {};
};
