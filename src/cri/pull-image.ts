import type { RegistryAuth } from '../image/auth.ts';
import type { Unary } from './call.ts';
import type { AuthConfig, PullImageRequest, PullImageResponse } from './gen/cri.ts';
import { imageName } from './image-name.ts';

export const pullImage: Unary<PullImageRequest, PullImageResponse> = async (
  ctx,
  request,
  signal,
) => {
  const name = imageName('image', request.image);
  return ctx.images.pull(name, { auth: authFromCri(request.auth), signal });
};

/** Whom they may be shown to, the server address says: the registry's client minds it (IM-4). */
export function authFromCri(auth: AuthConfig | undefined): RegistryAuth | undefined {
  if (!auth) return undefined;
  const given: RegistryAuth = {
    ...(auth.username && { username: auth.username }),
    ...(auth.password && { password: auth.password }),
    ...(auth.auth && { auth: auth.auth }),
    ...(auth.identityToken && { identityToken: auth.identityToken }),
    ...(auth.registryToken && { registryToken: auth.registryToken }),
  };
  if (Object.keys(given).length === 0) return undefined;
  return { ...given, ...(auth.serverAddress && { serverAddress: auth.serverAddress }) };
}
