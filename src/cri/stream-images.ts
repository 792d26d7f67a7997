import { batches } from './batches.ts';
import type { ServerStreaming } from './call.ts';
import { Image, type StreamImagesRequest, type StreamImagesResponse } from './gen/cri.ts';
import { listImages } from './list-images.ts';

/** ListImages in parts: all of them as they were when the call came. */
export const streamImages: ServerStreaming<StreamImagesRequest, StreamImagesResponse> =
  async function* (ctx, request, signal) {
    const { images } = await listImages(ctx, request, signal);
    for (const batch of batches(images, Image)) yield { images: batch };
  };
