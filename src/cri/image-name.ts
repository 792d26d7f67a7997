import type { ImageStatus } from '../image/records.ts';
import { formatReference, parseReference } from '../image/reference.ts';
import { checkRuntimeHandler } from '../runtime/runtime-handlers.ts';
import type { ContainerConfig } from '../spec/config.ts';
import { nonEmpty, present, withoutNul } from './fields.ts';
import type { ImageSpec } from './gen/cri.ts';

/** The image that a message names: a reference, a digest or an id. */
export function imageName(field: string, message: ImageSpec | undefined): string {
  const spec = present(field, message);
  checkRuntimeHandler(`${field}.runtime_handler`, spec.runtimeHandler);
  return nonEmpty(`${field}.image`, spec.image);
}

/** What a container's config says about its image beside its name; statuses give it back. */
export function imageNotes(
  message: ImageSpec | undefined,
): Pick<ContainerConfig, 'userSpecifiedImage' | 'imageAnnotations'> {
  const { userSpecifiedImage = '', annotations = {} } = message ?? {};
  return {
    ...(userSpecifiedImage && {
      userSpecifiedImage: withoutNul('config.image.user_specified_image', userSpecifiedImage),
    }),
    ...(Object.keys(annotations).length > 0 && { imageAnnotations: { ...annotations } }),
  };
}

/**
 * The name to show for an image: the tag that was asked for, while the image has it, else its
 * first tag. Undefined for an image without tags.
 */
export function shownName(image: ImageStatus, asked: string): string | undefined {
  let wanted: string | undefined;
  try {
    wanted = formatReference(parseReference(asked));
  } catch {
    // An id: it has no spelling as a reference.
  }
  return image.repoTags.find((tag) => tag === wanted) ?? image.repoTags[0];
}
