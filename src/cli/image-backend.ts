import { Client, credentials, type MethodDefinition, type ServiceError } from '@grpc/grpc-js';
import { AdminServiceService } from '../cri/gen/coracle.ts';
import { ImageServiceService, ImageSpec, PullImageRequest } from '../cri/gen/cri.ts';
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
  const client = new Client(`unix:${socket}`, credentials.createInsecure(), {
    'grpc.max_receive_message_length': -1,
  });
  const { pullImage, listImages, imageStatus, removeImage } = ImageServiceService;
  const named = (name: string) => ImageSpec.fromPartial({ image: name });
  try {
    return await work({
      pull: async (name) => {
        const request = PullImageRequest.fromPartial({ image: { image: name } });
        return (await call(client, pullImage, request)).imageRef;
      },
      list: async () => {
        const { images } = await call(client, listImages, { filter: undefined });
        return images.map((image) => ({ ...image, size: Number(image.size) }));
      },
      import: async (path, tag = '') => {
        const { importImage } = AdminServiceService;
        return (await call(client, importImage, { path, tag })).names;
      },
      remove: async (name) => {
        const image = named(name);
        const status = await call(client, imageStatus, { image, verbose: false });
        await call(client, removeImage, { image });
        return status.image !== undefined;
      },
    });
  } finally {
    client.close();
  }
}

function call<Request, Response>(
  client: Client,
  method: MethodDefinition<Request, Response>,
  request: Request,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      (error: ServiceError | null, response?: Response) => {
        // The server's own words, without gRPC's numbers around them.
        if (error) reject(new CoracleError('Internal', error.details, { cause: error }));
        else resolve(response as Response);
      },
    );
  });
}
