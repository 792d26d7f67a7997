import { join } from 'node:path';
import { CoracleError } from '../errors.ts';
import type { ImageVolume } from '../spec/mounts.ts';
import type { ContainerRecord } from '../store/types.ts';
import type { RuntimeContext } from './context.ts';
import { snapshotDir } from './paths.ts';

/** Where a container's directories for the volumes of its image are, before they are made. */
export function imageVolumes(ctx: RuntimeContext, id: string, paths: string[]): ImageVolume[] {
  const dir = volumesDir(ctx, id);
  return paths.map((path, index) => ({ path, hostPath: join(dir, String(index)) }));
}

/**
 * Makes the directories of the image's volumes that the container mounts, with what the image has
 * there: content, owners, modes and attributes. They are part of the container's snapshot and go
 * with it. Throws FailedPrecondition where the image has a file there.
 */
export async function makeVolumes(ctx: RuntimeContext, record: ContainerRecord): Promise<void> {
  const dir = volumesDir(ctx, record.id);
  const volumes = record.spec.mounts.filter(({ source }) => source.startsWith(`${dir}/`));
  if (volumes.length === 0) return;
  await ctx.addon.runFileOps([{ op: 'mkdir', path: dir, mode: 0o700, parents: false }]);
  const layers = record.layers.map((layer) => join(ctx.options.root, layer));
  for (const { source, destination } of volumes) {
    const kind = await ctx.addon.readLayerPath({ layers, path: destination, copyTo: source });
    if (kind === 'other') {
      const what = `the image declares a volume at ${destination} and has a file there`;
      throw new CoracleError('FailedPrecondition', what);
    }
    if (kind === 'missing') {
      await ctx.addon.runFileOps([{ op: 'mkdir', path: source, mode: 0o755, parents: false }]);
    }
  }
}

function volumesDir(ctx: RuntimeContext, id: string): string {
  return join(ctx.options.root, snapshotDir(id), 'volumes');
}
