import type { ProcessCounts } from '../../native/stats-types.ts';
import type { Container } from '../../store/containers.ts';
import type { Sandbox } from '../../store/sandboxes.ts';
import type { RuntimeContext } from '../context.ts';
import { cgroupTarget, isRunning, layerUsage } from './container-stats.ts';
import { groupBy } from './group-by.ts';
import type { InterfaceUsage } from './interfaces.ts';
import { isReady, podInterfaces, processDir } from './pod-stats.ts';
import { type RootDisk, rootDisk } from './root-disk.ts';
import type { CgroupSample } from './usage-reader.ts';
import type { LayerUsage } from './writable-layers.ts';

/** Everything that is to be known of a running container. */
export interface ContainerDetail {
  container: Container;
  sample: CgroupSample;
  processes?: ProcessCounts;
  layer?: LayerUsage;
  disk: RootDisk;
  /** The soft RLIMIT_NOFILE of its first process; absent: unlimited, or unknown. */
  openFilesLimit?: bigint;
}

export interface PodDetail {
  sandbox: Sandbox;
  /** Absent for a pod of the host's network. */
  interfaces?: InterfaceUsage[];
  containers: ContainerDetail[];
}

/** Everything about all ready pods and their running containers. */
export async function podDetails(ctx: RuntimeContext, signal?: AbortSignal): Promise<PodDetail[]> {
  const ready = ctx.sandboxes.list().filter((sandbox) => isReady(ctx, sandbox));
  const ids = new Set(ready.map(({ record }) => record.id));
  const running = ctx.containers
    .list()
    .filter((container) => ids.has(container.record.sandboxId) && isRunning(container));
  const [interfaces, details] = await Promise.all([
    podInterfaces(ctx, ready, signal),
    containerDetails(ctx, running, signal),
  ]);
  const byPod = groupBy(details, ({ container }) => container.record.sandboxId);
  return ready.map((sandbox, index) => {
    const links = interfaces[index];
    const containers = byPod.get(sandbox.record.id) ?? [];
    return { sandbox, ...(links && { interfaces: links }), containers };
  });
}

async function containerDetails(
  ctx: RuntimeContext,
  running: readonly Container[],
  signal: AbortSignal | undefined,
): Promise<ContainerDetail[]> {
  const { reader } = ctx.stats;
  const [samples, processes, limits, layers, disk] = await Promise.all([
    reader.detail(running.map(cgroupTarget), signal),
    reader.processes(
      running.map(({ record }) => processDir(ctx, record.cgroupPath)),
      true,
      signal,
    ),
    reader.texts(
      running.map(({ status }) => `/proc/${status.get().pid}/limits`),
      signal,
    ),
    layerUsage(ctx, running),
    rootDisk(ctx.options.root),
  ]);
  return running.flatMap((container, index): ContainerDetail[] => {
    const sample = samples[index];
    // Gone meanwhile.
    if (sample?.usage.cpu === undefined) return [];
    const counts = processes[index];
    const layer = layers[index];
    const openFilesLimit = softLimit(limits[index] ?? '', 'Max open files');
    return [
      {
        container,
        sample,
        disk,
        ...(counts && { processes: counts }),
        ...(layer && { layer }),
        ...(openFilesLimit !== undefined && { openFilesLimit }),
      },
    ];
  });
}

/** A line of /proc/PID/limits (proc_pid_limits(5)): name, soft limit, hard limit, unit. */
export function softLimit(text: string, name: string): bigint | undefined {
  const line = text.split('\n').find((each) => each.startsWith(name));
  const [soft] = line?.slice(name.length).trim().split(/\s+/) ?? [];
  return soft !== undefined && /^\d+$/.test(soft) ? BigInt(soft) : undefined;
}
