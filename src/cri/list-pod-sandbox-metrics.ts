import type { Unary } from './call.ts';
import type { ListPodSandboxMetricsRequest, ListPodSandboxMetricsResponse } from './gen/cri.ts';
import * as lists from './stats-lists.ts';

export const listPodSandboxMetrics: Unary<
  ListPodSandboxMetricsRequest,
  ListPodSandboxMetricsResponse
> = async (ctx, _request, signal) => ({
  podMetrics: await lists.listPodSandboxMetrics(ctx, signal),
});
