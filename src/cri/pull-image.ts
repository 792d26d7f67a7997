import type { RegistryAuth } from '../image/auth.ts';
import { parseReference } from '../image/reference.ts';
import type { Unary } from './call.ts';
import type { AuthConfig, PullImageRequest, PullImageResponse } from './gen/cri.ts';
import { imageName } from './image-name.ts';

/** The names that Docker Hub's credentials are kept under. */
const DOCKER_HUB = new Set(['docker.io', 'index.docker.io', 'registry-1.docker.io']);

export const pullImage: Unary<PullImageRequest, PullImageResponse> = async (
  ctx,
  request,
  signal,
) => {
  const name = imageName('image', request.image);
  return ctx.images.pull(name, { auth: authFromCri(request.auth, name), signal });
};

/** Credentials, unless they are another registry's: those must not be shown to this one (IM-4). */
export function authFromCri(auth: AuthConfig | undefined, image: string): RegistryAuth | undefined {
  if (!auth) return undefined;
  const { registry } = parseReference(image);
  if (auth.serverAddress && !sameRegistry(hostOf(auth.serverAddress), registry)) return undefined;
  const given: RegistryAuth = {
    ...(auth.username && { username: auth.username }),
    ...(auth.password && { password: auth.password }),
    ...(auth.auth && { auth: auth.auth }),
    ...(auth.identityToken && { identityToken: auth.identityToken }),
    ...(auth.registryToken && { registryToken: auth.registryToken }),
  };
  return Object.keys(given).length > 0 ? given : undefined;
}

/** "index.docker.io" of "https://index.docker.io/v1/". */
function hostOf(address: string): string {
  return address.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
}

function sameRegistry(a: string, b: string): boolean {
  return a === b || (DOCKER_HUB.has(a) && DOCKER_HUB.has(b));
}
