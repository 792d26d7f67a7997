import type { Unary } from './call.ts';
import type { ListPodSandboxStatsRequest, ListPodSandboxStatsResponse } from './gen/cri.ts';
import * as lists from './stats-lists.ts';

export const listPodSandboxStats: Unary<
  ListPodSandboxStatsRequest,
  ListPodSandboxStatsResponse
> = async (ctx, { filter }, signal) => ({
  stats: await lists.listPodSandboxStats(ctx, filter, signal),
});
