import type { ServiceError } from '@grpc/grpc-js';
import { criClient } from '../cri/client.ts';
import { answers, socketPathOf } from '../cri/socket.ts';
import { CoracleError } from '../errors.ts';
import { createLogger } from '../observe/logger.ts';
import type { Settings } from './config.ts';

/** What the image commands show of an image. */
export interface ListedImage {
  id: string;
  repoTags: readonly string[];
  /** Bytes, compressed. */
  size: number;
}

/** Images of a root directory, wherever that is open. */
export interface ImageBackend {
  pull(name: string): Promise<string>;
  list(): Promise<ListedImage[]>;
  /** `path` is absolute. Returns a name, or the id, of each image. */
  import(path: string, tag?: string): Promise<string[]>;
  /** False where there was no such image. */
  remove(name: string): Promise<boolean>;
}

/**
 * Runs `work` on the images of a running server, since a root directory belongs to one process at
 * a time, or else on the directory itself.
 */
export async function withImages<T>(
  settings: Settings,
  work: (images: ImageBackend) => Promise<T>,
): Promise<T> {
  const socket = socketPathOf(settings.listen);
  return (await answers(socket)) ? viaServer(socket, work) : inProcess(settings, work);
}

async function inProcess<T>(
  settings: Settings,
  work: (images: ImageBackend) => Promise<T>,
): Promise<T> {
  const { closeRuntime, openRuntime } = await import('../runtime/open.ts');
  const ctx = await openRuntime(settings.runtime, createLogger(settings.logLevel));
  const { images } = ctx;
  try {
    return await work({
      pull: async (name) => (await images.pull(name)).imageRef,
      list: async () => images.list(),
      import: (path, tag) => images.import(path, tag === undefined ? {} : { tag }),
      remove: async (name) => {
        const found = images.status(name) !== undefined;
        await images.remove(name);
        return found;
      },
    });
  } finally {
    await closeRuntime(ctx);
  }
}

async function viaServer<T>(
  socket: string,
  work: (images: ImageBackend) => Promise<T>,
): Promise<T> {
  const client = criClient(socket);
  const named = (image: string) => ({ image: { image } });
  try {
    return await work({
      pull: async (name) => (await client.pullImage(named(name))).imageRef,
      list: async () => {
        const { images } = await client.listImages();
        return images.map((image) => ({ ...image, size: Number(image.size) }));
      },
      import: async (path, tag = '') => (await client.importImage({ path, tag })).names,
      remove: async (name) => {
        const status = await client.imageStatus(named(name));
        await client.removeImage(named(name));
        return status.image !== undefined;
      },
    });
  } catch (error) {
    // The server's own words, without gRPC's numbers around them.
    const details = (error as Partial<ServiceError>).details;
    throw details ? new CoracleError('Internal', details, { cause: error }) : error;
  } finally {
    client.close();
  }
}
