import { CoracleError } from '../errors.ts';
import type { Unary } from './call.ts';
import type { ImageStatusRequest, ImageStatusResponse } from './gen/cri.ts';
import { imageInfo, imageMessage } from './image-message.ts';
import { imageName } from './image-name.ts';

/** An image that is not there is an answer without an image, no error. */
export const imageStatus: Unary<ImageStatusRequest, ImageStatusResponse> = async (ctx, request) => {
  const image = ctx.images.status(imageName('image', request.image));
  if (!image) return { image: undefined, info: {} };
  if (!request.verbose) return { image: imageMessage(image), info: {} };
  try {
    return {
      image: imageMessage(image),
      info: imageInfo(image, await ctx.images.describe(image.id)),
    };
  } catch (error) {
    // Removed in between.
    if (error instanceof CoracleError && error.kind === 'NotFound') {
      return { image: undefined, info: {} };
    }
    throw error;
  }
};
