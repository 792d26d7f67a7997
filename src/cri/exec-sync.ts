import { invalid } from '../errors.ts';
import { execSync as exec } from '../runtime/exec-sync.ts';
import type { Unary } from './call.ts';
import { withoutNul } from './fields.ts';
import type { ExecSyncRequest, ExecSyncResponse } from './gen/cri.ts';
import { secondsToMs } from './seconds.ts';

export const execSync: Unary<ExecSyncRequest, ExecSyncResponse> = async (ctx, request, signal) => {
  const argv = request.cmd.map((argument, i) => withoutNul(`cmd[${i}]`, argument));
  if (argv.length === 0) throw invalid('cmd', argv, 'must not be empty');
  if (request.timeout < 0n) {
    throw invalid('timeout', String(request.timeout), 'must not be negative');
  }
  const timeoutMs = secondsToMs(request.timeout);
  return exec(ctx, request.containerId, argv, { timeoutMs, signal });
};
