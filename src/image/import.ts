import { CoracleError } from '../errors.ts';
import type { Addon } from '../native/types.ts';
import type { ImageRecord } from './image-store.ts';
import { readDockerArchive } from './import-docker.ts';
import { readOciLayout } from './import-oci.ts';
import { type InstallParts, install } from './install.ts';
import { openLayout } from './layout-source.ts';
import type { Lease } from './leases.ts';
import { formatReference, type Reference } from './reference.ts';

export interface ImportParts extends InstallParts {
  readonly native: Pick<Addon, 'decompressFile'>;
}

/**
 * Imports an OCI layout (a directory, or a tar of one, plain or compressed) or a `docker save`
 * archive; which it is shows in its contents. Docker writes both forms into one tar since version
 * 25: the OCI one is taken, since it keeps digests. `tag` names the image, and then there must be
 * just one.
 */
export async function importImages(
  parts: ImportParts,
  path: string,
  tag: Reference | undefined,
  lease: Lease,
  signal: AbortSignal,
): Promise<ImageRecord[]> {
  const source = await openLayout(parts.native, path, parts.content.scratchPath(), signal);
  try {
    const oci = (await source.has('index.json')) && (await source.has('oci-layout'));
    if (!oci && !(await source.has('manifest.json'))) {
      throw new CoracleError(
        'InvalidArgument',
        `${path} is neither an OCI layout nor a "docker save" archive`,
      );
    }
    const images = oci
      ? await readOciLayout(parts, source, lease)
      : await readDockerArchive(parts, source, lease, signal);
    if (tag !== undefined) {
      const [only] = images;
      if (only === undefined || images.length > 1) {
        throw new CoracleError(
          'InvalidArgument',
          `${path} holds ${images.length} images: a tag can name only one`,
        );
      }
      only.tags = [formatReference(tag)];
      only.digests = [];
    }
    const records: ImageRecord[] = [];
    for (const image of images) records.push(await install(parts, image, lease, signal));
    return records;
  } finally {
    await source.close();
  }
}
