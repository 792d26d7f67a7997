import { CoracleError, quote } from '../errors.ts';
import { isDigest } from './digest.ts';
import type { ImageRecord } from './image-store.ts';
import { formatReference, nameOf, parseReference, type Reference } from './reference.ts';

/**
 * Finds an image by id, tag, digest reference or unique prefix of its id, in this order; a name
 * wins over a prefix that reads the same. Undefined where there is none. Throws FailedPrecondition
 * for a prefix of several ids.
 */
export function findImage(images: readonly ImageRecord[], text: string): ImageRecord | undefined {
  const id = text.startsWith('sha256:') ? text : `sha256:${text}`;
  if (isDigest(id)) return images.find((image) => image.id === id);
  const reference = tryParse(text);
  if (reference !== undefined) {
    const named = images.find((image) => isNamed(image, reference));
    if (named !== undefined) return named;
  }
  if (!/^sha256:[0-9a-f]+$/.test(id)) return undefined;
  const matches = images.filter((image) => image.id.startsWith(id));
  if (matches.length > 1) {
    throw new CoracleError(
      'FailedPrecondition',
      `image id ${quote(text)} is ambiguous: ${matches.length} images begin with it`,
    );
  }
  return matches[0];
}

/**
 * The images that a filter means: those of a repository where it names one without tag or digest,
 * else the one that `findImage` finds, but every one for a prefix of several ids.
 */
export function filterImages(images: readonly ImageRecord[], text: string): ImageRecord[] {
  const reference = tryParse(text);
  if (reference !== undefined) {
    const whole = !text.includes('@') && !text.slice(text.lastIndexOf('/') + 1).includes(':');
    const named = images.filter(
      (image) => isNamed(image, reference) || (whole && isOf(image, nameOf(reference))),
    );
    if (named.length > 0) return named;
  }
  const prefix = text.startsWith('sha256:') ? text : `sha256:${text}`;
  return images.filter((image) => image.id.startsWith(prefix));
}

/** Whether one of the image's names is in the repository. */
function isOf(image: ImageRecord, repository: string): boolean {
  return [...image.tags, ...image.digests].some(
    (known) => nameOf(parseReference(known)) === repository,
  );
}

function isNamed(image: ImageRecord, reference: Reference): boolean {
  const wanted = formatReference(reference);
  if (reference.digest === undefined) return image.tags.includes(wanted);
  // A name with the image's own id as digest is the image as well: kubelet builds such names.
  return (
    image.digests.includes(wanted) ||
    (image.id === reference.digest && isOf(image, nameOf(reference)))
  );
}

function tryParse(text: string): Reference | undefined {
  try {
    return parseReference(text);
  } catch {
    return undefined;
  }
}
