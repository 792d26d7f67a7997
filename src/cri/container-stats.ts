import { containerStats as statsOf } from '../runtime/stats/container-stats.ts';
import type { Unary } from './call.ts';
import type { ContainerStatsRequest, ContainerStatsResponse } from './gen/cri.ts';
import { containerStatsMessage } from './stats-message.ts';

export const containerStats: Unary<ContainerStatsRequest, ContainerStatsResponse> = async (
  ctx,
  { containerId },
  signal,
) => {
  const [stats] = await statsOf(ctx, [ctx.containers.get(containerId)], signal);
  return { stats: stats && containerStatsMessage(stats, ctx.options.root) };
};
