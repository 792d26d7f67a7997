/** User namespaces of pods: what is a valid one, and its ids as the host has them. */
import { invalid } from '../errors.ts';
import type { IdMap, IdMaps } from '../native/types.ts';
import type { ContainerConfig, SandboxConfig } from './config.ts';
import type { IdMapping, Linux } from './oci.ts';

/** The last id of 32 bits is no id (user_namespaces(7)). */
const ID_LIMIT = 0xffff_ffff;

/** The id of the container in the host; undefined for one that the namespace does not have. */
export function hostId(map: IdMap | undefined, id: number): number | undefined {
  if (map === undefined) return id;
  return id < map.length ? map.hostId + id : undefined;
}

/** Throws InvalidArgument for maps that no namespace can have, or that let the pod be the host. */
export function checkUserNamespace(config: SandboxConfig): void {
  const { userNamespace: maps, namespaces } = config;
  if (maps === undefined) return;
  checkMap('userNamespace.uids', maps.uids);
  checkMap('userNamespace.gids', maps.gids);
  for (const kind of ['pid', 'ipc'] as const) {
    if (namespaces?.[kind] === 'node') {
      throw invalid(`namespaces.${kind}`, 'node', 'is not possible with a user namespace');
    }
  }
}

function checkMap(field: string, { hostId, length }: IdMap): void {
  if (!Number.isSafeInteger(hostId) || hostId <= 0 || hostId >= ID_LIMIT) {
    throw invalid(`${field}.hostId`, hostId, "is not an id of the host other than root's");
  }
  if (!Number.isSafeInteger(length) || length <= 0 || hostId + length > ID_LIMIT) {
    throw invalid(`${field}.length`, length, 'is not a number of ids of 32 bits');
  }
}

/** Throws InvalidArgument for what a container cannot have in its pod's user namespace, or without. */
export function checkContainerIds(sandbox: SandboxConfig, container: ContainerConfig): void {
  const maps = sandbox.userNamespace;
  const security = container.security ?? {};
  container.mounts?.forEach((mount, index) => {
    const field = `mounts[${index}]`;
    if (mount.mapIds && maps === undefined) {
      throw invalid(`${field}.mapIds`, true, 'needs a pod with a user namespace');
    }
    // The kernel lets no mount out of a user namespace.
    if (mount.propagation === 'rshared' && maps !== undefined) {
      throw invalid(
        `${field}.propagation`,
        'rshared',
        'is not possible in a pod with a user namespace',
      );
    }
  });
  if (maps === undefined) return;
  if (security.pid === 'node') {
    throw invalid('security.pid', 'node', 'is not possible in a pod with a user namespace');
  }
  const check = (field: string, map: IdMap, id: number | undefined) => {
    if (id !== undefined && hostId(map, id) === undefined) {
      throw invalid(`security.${field}`, id, "is not in the map of the pod's user namespace");
    }
  };
  check('runAsUser', maps.uids, security.runAsUser);
  check('runAsGroup', maps.gids, security.runAsGroup);
  security.supplementalGroups?.forEach((gid, index) => {
    check(`supplementalGroups[${index}]`, maps.gids, gid);
  });
}

/** The maps in the words of the runtime specification; nothing without a namespace. */
export function ociMappings(maps: IdMaps | undefined): Pick<Linux, 'uidMappings' | 'gidMappings'> {
  if (maps === undefined) return {};
  return { uidMappings: [ociMapping(maps.uids)], gidMappings: [ociMapping(maps.gids)] };
}

function ociMapping({ hostId, length }: IdMap): IdMapping {
  return { containerID: 0, hostID: hostId, size: length };
}

/** And back; undefined where the container has the host's user namespace. */
export function idMapsOf(linux: Linux): IdMaps | undefined {
  const uids = linux.uidMappings?.[0];
  const gids = linux.gidMappings?.[0];
  if (uids === undefined || gids === undefined) return undefined;
  return {
    uids: { hostId: uids.hostID, length: uids.size },
    gids: { hostId: gids.hostID, length: gids.size },
  };
}
