import type { ContentStore } from './content-store.ts';
import type { LayerDirectories } from './layers.ts';

/** What images take of the disk. */
export interface ImageFsInfo {
  /** The directory whose file system holds them. */
  mountpoint: string;
  /** Unix time in ms. */
  timestamp: number;
  usedBytes: number;
  inodesUsed: number;
}

/** Blobs and unpacked layers, by the sizes that were taken when they were made. */
export async function imageFsInfo(
  root: string,
  content: ContentStore,
  layers: LayerDirectories,
): Promise<ImageFsInfo> {
  let usedBytes = 0;
  let inodesUsed = 0;
  for (const layer of layers.list()) {
    usedBytes += layer.size;
    inodesUsed += layer.inodes;
  }
  for (const digest of await content.list()) {
    usedBytes += (await content.size(digest)) ?? 0;
    inodesUsed += 1;
  }
  return { mountpoint: root, timestamp: Date.now(), usedBytes, inodesUsed };
}
