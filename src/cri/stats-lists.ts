/** The lists of stats and metrics, for the calls that give them whole and those that stream. */
import type { RuntimeContext } from '../runtime/context.ts';
import { containerStats } from '../runtime/stats/container-stats.ts';
import { podDetails } from '../runtime/stats/pod-detail.ts';
import { podStats } from '../runtime/stats/pod-stats.ts';
import { hasLabels, hasPrefix } from './filter.ts';
import type {
  ContainerStats,
  ContainerStatsFilter,
  PodSandboxMetrics,
  PodSandboxStats,
  PodSandboxStatsFilter,
} from './gen/cri.ts';
import { podMetricsMessages } from './metrics/pod-metrics-message.ts';
import { containerStatsMessage, podStatsMessage } from './stats-message.ts';

/**
 * All containers that the filter names, whatever their state; those that do not run have no CPU,
 * memory, swap and io.
 */
export async function listContainerStats(
  ctx: RuntimeContext,
  filter: ContainerStatsFilter | undefined,
  signal?: AbortSignal,
): Promise<ContainerStats[]> {
  const containers = ctx.containers
    .list()
    .filter(
      ({ record }) =>
        hasPrefix(record.id, filter?.id) &&
        hasPrefix(record.sandboxId, filter?.podSandboxId) &&
        hasLabels(record.config.labels, filter?.labelSelector),
    );
  const stats = await containerStats(ctx, containers, signal);
  return stats.map((each) => containerStatsMessage(each, ctx.options.root));
}

/** All ready pods that the filter names. */
export async function listPodSandboxStats(
  ctx: RuntimeContext,
  filter: PodSandboxStatsFilter | undefined,
  signal?: AbortSignal,
): Promise<PodSandboxStats[]> {
  const sandboxes = ctx.sandboxes
    .list()
    .filter(
      ({ record }) =>
        hasPrefix(record.id, filter?.id) && hasLabels(record.config.labels, filter?.labelSelector),
    );
  const stats = await podStats(ctx, sandboxes, signal);
  return stats.map((each) => podStatsMessage(each, ctx.options.root));
}

/** The metrics of all ready pods and of the containers that run in them. */
export async function listPodSandboxMetrics(
  ctx: RuntimeContext,
  signal?: AbortSignal,
): Promise<PodSandboxMetrics[]> {
  return podMetricsMessages(ctx, await podDetails(ctx, signal));
}
