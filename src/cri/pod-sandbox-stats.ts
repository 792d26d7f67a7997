import { CoracleError } from '../errors.ts';
import { podStats } from '../runtime/stats/pod-stats.ts';
import type { Unary } from './call.ts';
import type { PodSandboxStatsRequest, PodSandboxStatsResponse } from './gen/cri.ts';
import { podStatsMessage } from './stats-message.ts';

export const podSandboxStats: Unary<PodSandboxStatsRequest, PodSandboxStatsResponse> = async (
  ctx,
  { podSandboxId },
  signal,
) => {
  const sandbox = ctx.sandboxes.get(podSandboxId);
  const [stats] = await podStats(ctx, [sandbox], signal);
  if (stats === undefined) {
    throw new CoracleError('FailedPrecondition', `sandbox ${sandbox.record.id} is not ready`);
  }
  return { stats: podStatsMessage(stats, ctx.options.root) };
};
