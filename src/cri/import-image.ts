import { CoracleError } from '../errors.ts';
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
  try {
    return { names: await ctx.images.import(path, { signal, ...(tag && { tag }) }) };
  } catch (error) {
    throw named(error);
  }
};

/** What is said of the archive begins with its path, which is the field's value. */
function named(error: unknown): unknown {
  if (!(error instanceof CoracleError) || error.kind !== 'InvalidArgument') return error;
  if (error.message.startsWith('tag: ')) return error;
  return new CoracleError('InvalidArgument', `path: ${error.message}`, { cause: error });
}
