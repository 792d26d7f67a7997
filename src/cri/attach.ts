import { requireRunning } from '../runtime/preconditions.ts';
import type { Unary } from './call.ts';
import type { AttachRequest, AttachResponse } from './gen/cri.ts';
import { streamChoice, streamServer } from './stream-request.ts';

/** Grants an attach to the address in the answer. */
export const attach: Unary<AttachRequest, AttachResponse> = async (ctx, request) => {
  const choice = streamChoice(request);
  const { record } = requireRunning(ctx, request.containerId);
  return { url: streamServer(ctx).attach({ containerId: record.id, ...choice }) };
};
