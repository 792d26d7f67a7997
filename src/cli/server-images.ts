import { type CriClient, criClient } from '../cri/client.ts';
import { fromServiceError } from '../cri/client-error.ts';
import type { Image } from '../cri/gen/cri.ts';
import { progressFromMessage } from '../cri/progress-message.ts';
import { CoracleError } from '../errors.ts';
import type { ImageBackend, InspectedImage, ListedImage, PullRequest } from './image-backend.ts';

/** The images of the server on a socket. Errors are the server's own. */
export async function withServerImages<T>(
  socket: string,
  work: (images: ImageBackend) => Promise<T>,
): Promise<T> {
  const client = criClient(socket);
  try {
    return await work(serverImages(client));
  } finally {
    client.close();
  }
}

function serverImages(client: CriClient): ImageBackend {
  return {
    pull: (name, request) => told(pull(client, name, request)),
    list: async (filter = '') => {
      const { images } = await told(client.listImages({ filter: { image: { image: filter } } }));
      return images.map(listed);
    },
    inspect: (name) => told(inspect(client, name)),
    import: async (path, tag = '') => (await told(client.importImage({ path, tag }))).names,
    find: async (name) => {
      const { image } = await told(client.imageStatus({ image: { image: name } }));
      return image && listed(image);
    },
    remove: async (id) => {
      await told(client.removeImage({ image: { image: id } }));
    },
  };
}

async function pull(
  client: CriClient,
  image: string,
  { auth, signal, onProgress }: PullRequest,
): Promise<string> {
  const request = { image: { image }, ...(auth && { auth: { ...auth } }) };
  for await (const message of client.pullWithProgress(request, signal ? { signal } : {})) {
    if (message.progress) onProgress?.(progressFromMessage(message.progress));
    if (message.imageRef) return message.imageRef;
  }
  throw new CoracleError('Internal', 'the server ended the pull without a result');
}

async function inspect(client: CriClient, name: string): Promise<InspectedImage | undefined> {
  const { image, info } = await client.imageStatus({ image: { image: name }, verbose: true });
  if (!image) return undefined;
  const { chainID, imageSpec, pulled } = JSON.parse(info.info ?? '{}') as InspectedImage;
  const user = image.uid ? Number(image.uid.value) : image.username;
  return { ...listed(image), user, pulled, chainID, imageSpec };
}

function listed({ id, repoTags, repoDigests, size, pinned }: Image): ListedImage {
  return { id, repoTags, repoDigests, size: Number(size), pinned };
}

/** Only what the server says is translated: a caller's own errors pass. */
async function told<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw fromServiceError(error);
  }
}
