import { nonEmpty, present } from './fields.ts';
import type { ImageSpec } from './gen/cri.ts';
import { checkRuntimeHandler } from './runtime-handler.ts';

/** The image that a message names: a reference, a digest or an id. */
export function imageName(field: string, message: ImageSpec | undefined): string {
  const spec = present(field, message);
  checkRuntimeHandler(`${field}.runtime_handler`, spec.runtimeHandler);
  return nonEmpty(`${field}.image`, spec.image);
}
