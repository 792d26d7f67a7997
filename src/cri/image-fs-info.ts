import type { Unary } from './call.ts';
import type { ImageFsInfoRequest, ImageFsInfoResponse } from './gen/cri.ts';
import { filesystemMessage } from './image-message.ts';

/** Images and writable layers are on one file system: that of the root directory. */
export const imageFsInfo: Unary<ImageFsInfoRequest, ImageFsInfoResponse> = async (ctx) => {
  const usage = filesystemMessage(await ctx.images.fsInfo());
  return { imageFilesystems: [usage], containerFilesystems: [usage] };
};
