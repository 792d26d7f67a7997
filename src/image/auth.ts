import { invalid } from '../errors.ts';
import { isLoopback } from './connections.ts';
import type { RegistryHost } from './hosts.ts';

/** Credentials for one registry, as CRI's AuthConfig gives them. */
export interface RegistryAuth {
  username?: string;
  password?: string;
  /** Base64 of "username:password"; used where no username is given. */
  auth?: string;
  /** An OAuth2 refresh token. */
  identityToken?: string;
  /** A bearer token that is sent as it is. */
  registryToken?: string;
  /** The only host that these are shown to: "quay.io", "https://index.docker.io/v1/". */
  serverAddress?: string;
}

/** The names that Docker Hub's credentials are kept under. */
const DOCKER_HUB = new Set(['docker.io', 'index.docker.io', 'registry-1.docker.io']);

/** User name and password, or undefined for an anonymous caller. Throws InvalidArgument. */
export function credentials(auth: RegistryAuth | undefined): [string, string] | undefined {
  if (auth?.username) return [auth.username, auth.password ?? ''];
  if (!auth?.auth) return undefined;
  const text = Buffer.from(auth.auth, 'base64').toString('utf8').replace(/\0+$/, '');
  const colon = text.indexOf(':');
  if (colon < 0) throw invalid('auth.auth', '…', 'is not base64 of "username:password"');
  return [text.slice(0, colon), text.slice(colon + 1)];
}

/**
 * The credentials that a host may be shown. Those with a server address go to that host alone, be
 * it the registry or a mirror of it. Others are the registry's; its mirrors, which the
 * administrator has chosen, get them too if they ask, but not in the clear over a network.
 */
export function authFor(
  auth: RegistryAuth | undefined,
  host: Pick<RegistryHost, 'root' | 'mirror'>,
): RegistryAuth | undefined {
  if (auth?.serverAddress) {
    const named = hostOf(auth.serverAddress, host.root.protocol);
    const same =
      named === host.root.host || (DOCKER_HUB.has(named) && DOCKER_HUB.has(host.root.host));
    return same ? auth : undefined;
  }
  const clear = host.root.protocol !== 'https:' && !isLoopback(host.root.hostname);
  return host.mirror && clear ? undefined : auth;
}

/** Whether there is anything in it that could be shown to somebody who must not see it. */
export function hasSecret(auth: RegistryAuth | undefined): boolean {
  return Boolean(auth?.username || auth?.auth || auth?.identityToken || auth?.registryToken);
}

/** "index.docker.io" of "https://index.docker.io/v1/"; the default port of `protocol` goes. */
function hostOf(address: string, protocol: string): string {
  const url = `${protocol}//${address.replace(/^[a-z]+:\/\//i, '')}`;
  return URL.canParse(url) ? new URL(url).host : address;
}
