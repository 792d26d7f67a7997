import type { Unary } from './call.ts';
import type { RemoveImageRequest, RemoveImageResponse } from './gen/cri.ts';
import { imageName } from './image-name.ts';

/** Removes the image with all its names (IM-8); one that is not there is removed already. */
export const removeImage: Unary<RemoveImageRequest, RemoveImageResponse> = async (ctx, request) => {
  await ctx.images.remove(imageName('image', request.image));
  return {};
};
