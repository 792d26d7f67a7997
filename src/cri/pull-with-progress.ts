import type { PullProgress } from '../image/progress.ts';
import type { ServerStreaming } from './call.ts';
import type { PullWithProgressRequest, PullWithProgressResponse } from './gen/coracle.ts';
import { imageName } from './image-name.ts';
import { Latest } from './latest.ts';
import { progressMessage } from './progress-message.ts';
import { authFromCri } from './pull-image.ts';

/** Beside CRI: a pull that shows its progress; the last message has the image's id. */
export const pullWithProgress: ServerStreaming<PullWithProgressRequest, PullWithProgressResponse> =
  async function* (ctx, request, signal) {
    const name = imageName('image', request.image);
    const auth = authFromCri(request.auth);
    const news = new Latest<PullProgress>();
    const onProgress = (progress: PullProgress) => news.put(progress);
    const pulled = ctx.images.pull(name, { auth, signal, onProgress }).finally(() => news.end());
    // Awaited below; until then the client may be slow to take what was reported.
    pulled.catch(() => {});
    for await (const progress of news) yield { progress: progressMessage(progress), imageRef: '' };
    const { imageRef } = await pulled;
    yield { progress: undefined, imageRef };
  };
