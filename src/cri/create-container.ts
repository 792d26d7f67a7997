import { createContainer as create } from '../runtime/create-container.ts';
import type { Unary } from './call.ts';
import type { CreateContainerRequest, CreateContainerResponse } from './gen/cri.ts';
import { containerFromCri } from './translate-container.ts';
import { translationHost } from './translation-host.ts';

/**
 * The sandbox's configuration is the one that it was made with; what the request repeats of it is
 * of no use.
 */
export const createContainer: Unary<CreateContainerRequest, CreateContainerResponse> = async (
  ctx,
  request,
  signal,
) => {
  const { record } = ctx.sandboxes.get(request.podSandboxId);
  const config = containerFromCri(request.config, record.config, translationHost(ctx));
  // Nobody can say at the start that the streams go elsewhere.
  return { containerId: await create(ctx, record.id, config, { signal, ahead: 'log' }) };
};
