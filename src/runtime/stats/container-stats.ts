import { join } from 'node:path';
import { stateOf } from '../../store/container-status.ts';
import type { Container } from '../../store/containers.ts';
import type { RuntimeContext } from '../context.ts';
import { snapshotDir } from '../paths.ts';
import type { CgroupSample } from './usage-reader.ts';
import type { LayerUsage } from './writable-layers.ts';

/** What a container uses. */
export interface ContainerStats {
  container: Container;
  /** Only of a container that runs. */
  sample?: CgroupSample;
  /** Absent where it has not been measured yet. */
  layer?: LayerUsage;
}

/** What these containers use, in their order. One that ends meanwhile is as one that has ended. */
export async function containerStats(
  ctx: RuntimeContext,
  containers: readonly Container[],
  signal?: AbortSignal,
): Promise<ContainerStats[]> {
  const running = containers.filter(isRunning);
  const [samples, layers] = await Promise.all([
    ctx.stats.reader.sample(running.map(cgroupTarget), signal),
    layerUsage(ctx, containers),
  ]);
  const sampleOf = new Map(running.map((container, index) => [container, samples[index]]));
  return containers.map((container, index) => {
    const sample = sampleOf.get(container);
    const layer = layers[index];
    return {
      container,
      ...(sample?.usage.cpu && { sample }),
      ...(layer && { layer }),
    };
  });
}

/** What the writable layers of these containers take of the disk, as last measured. */
export function layerUsage(
  ctx: RuntimeContext,
  containers: readonly Container[],
): Promise<(LayerUsage | undefined)[]> {
  ctx.stats.layers.retain((id) => ctx.containers.has(id));
  return ctx.stats.layers.usage(
    containers.map(({ record: { id }, status }) => ({
      id,
      path: join(ctx.options.root, snapshotDir(id), 'upper'),
      ended: stateOf(status.get()) === 'exited',
    })),
  );
}

export function isRunning({ status }: Container): boolean {
  return stateOf(status.get()) === 'running';
}

export function cgroupTarget({ record, status }: Container): { path: string; startedAt: bigint } {
  return { path: record.cgroupPath, startedAt: status.get().startedAt };
}
