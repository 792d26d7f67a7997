import type { Unary } from './call.ts';
import { absolutePath, withoutNul } from './fields.ts';
import type { ImportImageRequest, ImportImageResponse } from './gen/coracle.ts';

/** Beside CRI: the archive is read by the server, by its path on this host. */
export const importImage: Unary<ImportImageRequest, ImportImageResponse> = async (
  ctx,
  request,
  signal,
) => {
  const path = absolutePath('path', request.path);
  const tag = withoutNul('tag', request.tag);
  return { names: await ctx.images.import(path, { signal, ...(tag && { tag }) }) };
};
