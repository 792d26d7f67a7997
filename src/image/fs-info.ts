import type { ContentStore } from './content-store.ts';
import type { LayerDirectories } from './layers.ts';

/** What images take of the disk. */
export interface ImageFsInfo {
  /** The directory whose file system holds them. */
  mountpoint: string;
  /** Unix time in ms. */
  timestamp: number;
  /**
   * Bytes that the disk has allocated (du(1), not its --apparent-size) for blobs, for those that
   * are on their way or were cut off, and for unpacked layers. The records in `meta/` and the
   * directories of `blobs/` and `ingest/` themselves are not counted.
   */
  usedBytes: number;
  /** Files, directories and all else that these are made of; hard links once. */
  inodesUsed: number;
}

/** Adds up what is kept counted: neither looks at the disk nor grows with the number of images. */
export function imageFsInfo(
  root: string,
  content: ContentStore,
  layers: LayerDirectories,
): ImageFsInfo {
  const blobs = content.usage();
  const trees = layers.usage();
  return {
    mountpoint: root,
    timestamp: Date.now(),
    usedBytes: blobs.bytes + trees.bytes,
    inodesUsed: blobs.inodes + trees.inodes,
  };
}
