import { reopenLog } from '../runtime/reopen-log.ts';
import type { Unary } from './call.ts';
import type { ReopenContainerLogRequest, ReopenContainerLogResponse } from './gen/cri.ts';

export const reopenContainerLog: Unary<
  ReopenContainerLogRequest,
  ReopenContainerLogResponse
> = async (ctx, { containerId }) => {
  await reopenLog(ctx, containerId);
  return {};
};
