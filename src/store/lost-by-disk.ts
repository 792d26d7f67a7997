/** EIO, and what ext4, xfs and btrfs say of checksums that are wrong and of structures that are. */
const LOST = new Set<unknown>(['EIO', 'EBADMSG', 'EUCLEAN']);

/**
 * Whether a file cannot be read because its disk has lost it. Whatever else keeps it from being
 * read, as a lack of descriptors or of memory, will pass: no reason to give up what is in it.
 */
export function isLostByDisk(error: unknown): boolean {
  return error instanceof Error && 'code' in error && LOST.has(error.code);
}
