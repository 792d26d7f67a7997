import { layerUsage } from '../runtime/stats/container-stats.ts';
import type { Unary } from './call.ts';
import type { ImageFsInfoRequest, ImageFsInfoResponse } from './gen/cri.ts';
import { filesystemMessage } from './image-message.ts';

/**
 * Images and writable layers are on one file system, that of the root directory; each list tells
 * what its own kind takes of it.
 */
export const imageFsInfo: Unary<ImageFsInfoRequest, ImageFsInfoResponse> = async (ctx) => {
  const layers = await layerUsage(ctx, ctx.containers.list());
  const images = ctx.images.fsInfo();
  const containers = { ...images, usedBytes: 0, inodesUsed: 0 };
  for (const layer of layers) {
    containers.usedBytes += layer?.bytes ?? 0;
    containers.inodesUsed += layer?.inodes ?? 0;
  }
  return {
    imageFilesystems: [filesystemMessage(images)],
    containerFilesystems: [filesystemMessage(containers)],
  };
};
