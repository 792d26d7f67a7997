import type { ContainerRecord } from '../store/types.ts';

/** The ids of the images whose layers a container needs: its own, and those of its mounts. */
export function imagesOf({ imageId, mountedImages = [] }: ContainerRecord): string[] {
  return [...new Set([imageId, ...mountedImages.map((mounted) => mounted.imageId)])];
}
