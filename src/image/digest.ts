import { createHash } from 'node:crypto';
import { invalid } from '../errors.ts';

/** "sha256:" and 64 hex digits, the only algorithm that registries use in practice. */
export type Digest = `sha256:${string}`;

const DIGEST = /^sha256:[0-9a-f]{64}$/;

export function isDigest(text: string): text is Digest {
  return DIGEST.test(text);
}

/** Throws InvalidArgument naming `field` where the text is no sha256 digest. */
export function parseDigest(field: string, text: string): Digest {
  if (!isDigest(text)) throw invalid(field, text, 'is not a sha256 digest');
  return text;
}

export function digestOf(bytes: Uint8Array | string): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** The 64 hex digits. */
export function hexOf(digest: Digest): string {
  return digest.slice('sha256:'.length);
}

/**
 * The identity of a stack of layers, lowest first (OCI image specification 1.1, config.md,
 * "Layer ChainID"): one id for each prefix of the stack.
 */
export function chainIds(diffIds: readonly Digest[]): Digest[] {
  const ids: Digest[] = [];
  for (const diffId of diffIds) {
    const below = ids.at(-1);
    ids.push(below === undefined ? diffId : digestOf(`${below} ${diffId}`));
  }
  return ids;
}
