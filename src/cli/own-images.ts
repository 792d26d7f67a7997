import type { ImageStatus } from '../image/images.ts';
import { createLogger } from '../observe/logger.ts';
import { closeRuntime, openRuntime } from '../runtime/open.ts';
import type { Settings } from './config.ts';
import type { ImageBackend, ListedImage } from './image-backend.ts';

/** The images of a root directory that this process opens for as long as `work` takes. */
export async function withOwnImages<T>(
  settings: Settings,
  work: (images: ImageBackend) => Promise<T>,
): Promise<T> {
  const ctx = await openRuntime(settings.runtime, createLogger(settings.logLevel));
  const { images } = ctx;
  try {
    return await work({
      pull: async (name, request) => (await images.pull(name, request)).imageRef,
      list: async (filter) => images.list(filter ? { image: filter } : {}).map(listed),
      inspect: async (name) => {
        const image = images.status(name);
        if (!image) return undefined;
        const { chainId, document } = await images.describe(image.id);
        return {
          ...listed(image),
          user: image.uid ?? image.username,
          pulled: new Date(image.pulledAt).toISOString(),
          chainID: chainId,
          imageSpec: document,
        };
      },
      import: (path, tag) => images.import(path, tag === undefined ? {} : { tag }),
      find: async (name) => {
        const image = images.status(name);
        return image && listed(image);
      },
      remove: (id) => images.remove(id),
    });
  } finally {
    await closeRuntime(ctx);
  }
}

function listed({ id, repoTags, repoDigests, size, pinned }: ImageStatus): ListedImage {
  return { id, repoTags, repoDigests, size, pinned };
}
