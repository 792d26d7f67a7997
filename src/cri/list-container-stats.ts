import type { Unary } from './call.ts';
import type { ListContainerStatsRequest, ListContainerStatsResponse } from './gen/cri.ts';
import * as lists from './stats-lists.ts';

export const listContainerStats: Unary<
  ListContainerStatsRequest,
  ListContainerStatsResponse
> = async (ctx, { filter }, signal) => ({
  stats: await lists.listContainerStats(ctx, filter, signal),
});
