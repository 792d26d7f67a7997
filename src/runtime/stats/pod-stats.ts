import type { Sandbox } from '../../store/sandboxes.ts';
import { cgroupDirs } from '../cgroup/index.ts';
import type { RuntimeContext } from '../context.ts';
import { type ContainerStats, containerStats } from './container-stats.ts';
import { groupBy } from './group-by.ts';
import { type InterfaceUsage, parseInterfaces } from './interfaces.ts';
import type { CgroupSample } from './usage-reader.ts';

/** What a pod uses: its cgroup, which those of its containers are in, and its network. */
export interface PodStats {
  sandbox: Sandbox;
  sample: CgroupSample;
  /** Absent for a pod of the host's network: what goes through there is not the pod's alone. */
  interfaces?: InterfaceUsage[];
  processes?: number;
  containers: ContainerStats[];
}

/** What these pods use, in their order, without those that are not ready. */
export async function podStats(
  ctx: RuntimeContext,
  sandboxes: readonly Sandbox[],
  signal?: AbortSignal,
): Promise<PodStats[]> {
  const ready = sandboxes.filter((sandbox) => isReady(ctx, sandbox));
  const ids = new Set(ready.map(({ record }) => record.id));
  const members = ctx.containers.list().filter(({ record }) => ids.has(record.sandboxId));
  const dirs = ready.map(({ record }) => processDir(ctx, record.cgroupPath));
  const [samples, interfaces, processes, stats] = await Promise.all([
    ctx.stats.reader.sample(
      ready.map(({ record }) => ({ path: record.cgroupPath, startedAt: record.createdAt })),
      signal,
    ),
    podInterfaces(ctx, ready, signal),
    ctx.stats.reader.processes(dirs, false, signal),
    containerStats(ctx, members, signal),
  ]);
  const statsOf = groupBy(stats, ({ container }) => container.record.sandboxId);
  return ready.flatMap((sandbox, index) => {
    const sample = samples[index];
    const counts = processes[index];
    const links = interfaces[index];
    if (sample === undefined) return [];
    return {
      sandbox,
      sample,
      ...(links && { interfaces: links }),
      ...(counts && { processes: Math.max(0, counts.processes - embryosOf(ctx, sandbox)) }),
      containers: statsOf.get(sandbox.record.id) ?? [],
    };
  });
}

/** What waits in a pod for a start is no process of it yet. */
function embryosOf(ctx: RuntimeContext, { record }: Sandbox): number {
  const monitor = ctx.monitors.find(record.id);
  return monitor ? ctx.embryos.waiting(monitor) : 0;
}

/** Whether it is there to be read: a monitor keeps its namespaces. */
export function isReady(ctx: RuntimeContext, { state, record }: Sandbox): boolean {
  return state === 'ready' && ctx.monitors.find(record.id) !== undefined;
}

/** The interfaces of ready pods that have a network namespace of their own, in their order. */
export async function podInterfaces(
  ctx: RuntimeContext,
  sandboxes: readonly Sandbox[],
  signal?: AbortSignal,
): Promise<(InterfaceUsage[] | undefined)[]> {
  const own = sandboxes.filter(({ record }) => record.config.namespaces?.network !== 'node');
  const pids = own.map(({ record }) => ctx.monitors.find(record.id)?.connection.pid ?? 0);
  const texts = await ctx.stats.reader.texts(
    pids.map((pid) => `/proc/${pid}/net/dev`),
    signal,
  );
  const found = new Map(own.map((sandbox, index) => [sandbox, texts[index]]));
  return sandboxes.map((sandbox) => {
    const text = found.get(sandbox);
    return text ? parseInterfaces(text) : undefined;
  });
}

/** The directory that lists a cgroup's processes: all hierarchies have the same. */
export function processDir({ cgroups }: RuntimeContext, path: string): string {
  return cgroupDirs(cgroups, path).at(-1) ?? '';
}
