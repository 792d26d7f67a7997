import type { ImageFsInfo } from '../image/fs-info.ts';
import type { ImageStatus } from '../image/records.ts';
import type { FilesystemUsage, Image } from './gen/cri.ts';
import { toJson } from './json.ts';

export function imageMessage(image: ImageStatus): Image {
  return {
    id: image.id,
    repoTags: [...image.repoTags],
    repoDigests: [...image.repoDigests],
    size: BigInt(image.size),
    uid: image.uid === undefined ? undefined : { value: BigInt(image.uid) },
    username: image.username,
    spec: undefined,
    pinned: false,
  };
}

/** The verbose part of an image's status, under the key that crictl's users look for. */
export function imageInfo(image: ImageStatus): Record<string, string> {
  const { os, architecture, config, pulledAt } = image;
  const pulled = new Date(pulledAt).toISOString();
  return { info: toJson({ imageSpec: { os, architecture, config }, pulled }) };
}

export function filesystemMessage(info: ImageFsInfo): FilesystemUsage {
  return {
    timestamp: BigInt(info.timestamp) * 1_000_000n,
    fsId: { mountpoint: info.mountpoint },
    usedBytes: { value: BigInt(info.usedBytes) },
    inodesUsed: { value: BigInt(info.inodesUsed) },
  };
}
