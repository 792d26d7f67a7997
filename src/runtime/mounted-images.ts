import { join } from 'node:path';
import { CoracleError, quote } from '../errors.ts';
import type { ContainerConfig, MountImage } from '../spec/config.ts';
import type { ImageContent } from '../spec/oci.ts';
import type { MountedImage } from '../store/types.ts';
import type { RuntimeContext } from './context.ts';

/** By this name kubelet knows why a container with an image volume could not be made. */
const REASON = 'ImageVolumeMountFailed';

export interface FoundImages {
  records: MountedImage[];
  /** By their place in the configuration's `mounts`. */
  contents: Map<number, ImageContent>;
}

/**
 * Finds the images that a container mounts, and what it wants of them. Throws NotFound, naming the
 * field, for an image or a path in it that is not there.
 */
export async function findMountedImages(
  ctx: RuntimeContext,
  config: ContainerConfig,
): Promise<FoundImages> {
  const found: FoundImages = { records: [], contents: new Map() };
  for (const [mount, { image }] of (config.mounts ?? []).entries()) {
    if (!image) continue;
    const field = `mounts[${mount}].image`;
    const status = ctx.images.status(image.name);
    if (!status) throw missing(`${field}: image ${quote(image.name)} is not present`);
    const layers = ctx.images.layersOf(status.id);
    await requirePath(ctx, field, layers, image);
    found.records.push({ mount, imageId: status.id });
    found.contents.set(mount, { layers, subPath: image.subPath ?? '' });
  }
  return found;
}

async function requirePath(
  ctx: RuntimeContext,
  field: string,
  layers: string[],
  { name, subPath = '' }: MountImage,
): Promise<void> {
  if (subPath === '') return;
  const kind = await ctx.addon.readLayerPath({
    layers: layers.map((layer) => join(ctx.options.root, layer)),
    path: subPath,
  });
  if (kind !== 'missing') return;
  const what = `has no ${quote(subPath)}`;
  throw missing(`${field}.subPath: image ${quote(name)} ${what}`);
}

function missing(message: string): CoracleError {
  return new CoracleError('NotFound', message, { reason: REASON });
}
