import { answers, socketPathOf } from '../cri/socket.ts';
import type { Settings } from './config.ts';
import type { ImageBackend } from './image-backend.ts';

/**
 * Runs `work` on the images of a running server, since a root directory belongs to one process at
 * a time, or else on the directory itself.
 */
export async function withImages<T>(
  settings: Settings,
  work: (images: ImageBackend) => Promise<T>,
): Promise<T> {
  const socket = socketPathOf(settings.listen);
  if (await answers(socket)) {
    const { withServerImages } = await import('./server-images.ts');
    return withServerImages(socket, work);
  }
  const { withOwnImages } = await import('./own-images.ts');
  return withOwnImages(settings, work);
}
