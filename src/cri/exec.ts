import { invalid } from '../errors.ts';
import { requireRunning } from '../runtime/preconditions.ts';
import type { Unary } from './call.ts';
import { withoutNul } from './fields.ts';
import type { ExecRequest, ExecResponse } from './gen/cri.ts';
import { streamChoice, streamServer } from './stream-request.ts';

/** Grants an exec; the command starts when the client connects to the address in the answer. */
export const exec: Unary<ExecRequest, ExecResponse> = async (ctx, request) => {
  const argv = request.cmd.map((argument, i) => withoutNul(`cmd[${i}]`, argument));
  if (argv.length === 0) throw invalid('cmd', argv, 'must not be empty');
  const choice = streamChoice(request);
  const { record } = requireRunning(ctx, request.containerId);
  return { url: streamServer(ctx).exec({ containerId: record.id, argv, ...choice }) };
};
