import { CoracleError, messageOf } from '../errors.ts';
import type { ImageRecord } from './image-store.ts';
import { formatReference, nameOf, parseReference } from './reference.ts';

/** Stands for an asterisk while a pattern is read as a reference: legal in all parts of one. */
const STAR = '0star0';

/**
 * Which images garbage collectors leave alone (IM-10). A pattern is a name, completed as any other
 * ("pause:3" means docker.io/library/pause:3), or has asterisks, each for any text, slashes
 * included; a pattern without a tag then means all tags. Throws InvalidArgument for what names
 * nothing.
 */
export class PinnedImages {
  readonly #patterns: RegExp[];

  constructor(patterns: readonly string[]) {
    this.#patterns = patterns.map(compile);
  }

  has(record: Pick<ImageRecord, 'tags' | 'digests'>): boolean {
    if (this.#patterns.length === 0) return false;
    return [...record.tags, ...record.digests].some((name) =>
      this.#patterns.some((pattern) => pattern.test(name)),
    );
  }
}

function compile(pattern: string): RegExp {
  const escaped = normalise(pattern).replace(/[.+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escaped.replaceAll('*', '.*')}$`, 's');
}

function normalise(pattern: string): string {
  // "*" at the beginning stands for the registry as well: there is nothing to complete.
  if (pattern.startsWith('*')) return pattern;
  try {
    const reference = parseReference(pattern.replaceAll('*', STAR));
    const everyTag = pattern.includes('*') && !/[:@]/.test(pattern.slice(pattern.lastIndexOf('/')));
    const name = everyTag ? `${nameOf(reference)}*` : formatReference(reference);
    return name.replaceAll(STAR, '*');
  } catch (error) {
    throw new CoracleError(
      'InvalidArgument',
      `pinned image ${JSON.stringify(pattern)}: ${messageOf(error)}`,
    );
  }
}
