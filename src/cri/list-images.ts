import type { Unary } from './call.ts';
import type { ListImagesRequest, ListImagesResponse } from './gen/cri.ts';
import { imageMessage } from './image-message.ts';

export const listImages: Unary<ListImagesRequest, ListImagesResponse> = async (ctx, { filter }) => {
  const image = filter?.image?.image;
  return { images: ctx.images.list(image ? { image } : {}).map(imageMessage) };
};
