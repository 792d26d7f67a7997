import type { ImageFsInfo } from '../image/fs-info.ts';
import type { ImageStatus } from '../image/records.ts';
import type { ContainerConfig } from '../spec/config.ts';
import { type FilesystemUsage, type Image, ImageSpec } from './gen/cri.ts';
import { toJson } from './json.ts';

export function imageMessage(image: ImageStatus): Image {
  return {
    id: image.id,
    repoTags: [...image.repoTags],
    repoDigests: [...image.repoDigests],
    size: BigInt(image.size),
    uid: image.uid === undefined ? undefined : { value: BigInt(image.uid) },
    username: image.username,
    // The id, whatever name was asked for: the same image is the same message everywhere.
    spec: ImageSpec.fromPartial({ image: image.id }),
    pinned: image.pinned,
  };
}

/**
 * The verbose part of an image's status, under the keys that crictl's users know from containerd:
 * `imageSpec` is the configuration blob as the image's builder wrote it.
 */
export function imageInfo(
  image: ImageStatus,
  { chainId, document }: { chainId: string; document: unknown },
): Record<string, string> {
  const pulled = new Date(image.pulledAt).toISOString();
  return { info: toJson({ chainID: chainId, imageSpec: document, pulled }) };
}

/** A container's image as its config names it, or by `name`, which a client is to see instead. */
export function imageSpecMessage(config: ContainerConfig, name = config.image): ImageSpec {
  return ImageSpec.fromPartial({
    image: name,
    userSpecifiedImage: config.userSpecifiedImage ?? config.image,
    annotations: config.imageAnnotations ?? {},
  });
}

export function filesystemMessage(info: ImageFsInfo): FilesystemUsage {
  return {
    timestamp: BigInt(info.timestamp) * 1_000_000n,
    fsId: { mountpoint: info.mountpoint },
    usedBytes: { value: BigInt(info.usedBytes) },
    inodesUsed: { value: BigInt(info.inodesUsed) },
  };
}
