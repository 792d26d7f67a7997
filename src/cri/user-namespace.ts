/** User namespaces of pods, between CRI's messages and Coracle's terms. */
import { invalid } from '../errors.ts';
import type { IdMap, IdMaps } from '../native/types.ts';
import type { SandboxConfig } from '../spec/config.ts';
import { oneOf } from './fields.ts';
import { type IDMapping, type Mount, NamespaceMode, type UserNamespace } from './gen/cri.ts';

const MODES = { [NamespaceMode.POD]: 'pod', [NamespaceMode.NODE]: 'node' } as const;

/** The user namespace that a pod asks for; nothing where it has the host's. */
export function userNamespaceFromCri(
  field: string,
  options: UserNamespace | undefined,
): Pick<SandboxConfig, 'userNamespace'> {
  if (!options) return {};
  if (oneOf(`${field}.mode`, options.mode, MODES, NamespaceMode) === 'node') {
    if (options.uids.length > 0) throw invalid(`${field}.uids`, options.uids, 'needs mode POD');
    if (options.gids.length > 0) throw invalid(`${field}.gids`, options.gids, 'needs mode POD');
    return {};
  }
  return {
    userNamespace: {
      uids: idMap(`${field}.uids`, options.uids),
      gids: idMap(`${field}.gids`, options.gids),
    },
  };
}

/** A container is in the user namespace of its pod: it may say so, or say nothing. */
export function checkContainerUserNamespace(
  field: string,
  options: UserNamespace | undefined,
  { userNamespace }: SandboxConfig,
): void {
  if (!options) return;
  if (!sameMaps(userNamespaceFromCri(field, options).userNamespace, userNamespace)) {
    throw invalid(field, options, "is not the pod sandbox's user namespace");
  }
}

/** Whether a mount is id-mapped. The pod's maps are the only ones that a mount can have. */
export function mapsIds(
  field: string,
  { uidMappings, gidMappings }: Pick<Mount, 'uidMappings' | 'gidMappings'>,
  { userNamespace }: SandboxConfig,
): boolean {
  if (uidMappings.length === 0 && gidMappings.length === 0) return false;
  const maps = {
    uids: idMap(`${field}.uidMappings`, uidMappings),
    gids: idMap(`${field}.gidMappings`, gidMappings),
  };
  if (!sameMaps(maps, userNamespace)) {
    throw invalid(
      `${field}.uidMappings`,
      uidMappings,
      "and gidMappings are not those of the pod sandbox's user namespace",
    );
  }
  return true;
}

/** The message of a pod's user namespace; absent where it has the host's. */
export function userNamespaceMessage(maps: IdMaps | undefined): UserNamespace | undefined {
  if (!maps) return undefined;
  return { mode: NamespaceMode.POD, ...mappingMessages(maps) };
}

export function mappingMessages({ uids, gids }: IdMaps): { uids: IDMapping[]; gids: IDMapping[] } {
  const message = ({ hostId, length }: IdMap) => ({ hostId, containerId: 0, length });
  return { uids: [message(uids)], gids: [message(gids)] };
}

function idMap(field: string, mappings: IDMapping[]): IdMap {
  const [mapping, ...more] = mappings;
  if (!mapping || more.length > 0) throw invalid(field, mappings, 'must be exactly one mapping');
  if (mapping.containerId !== 0) {
    throw invalid(`${field}[0].container_id`, mapping.containerId, 'must be 0: root is mapped');
  }
  return { hostId: mapping.hostId, length: mapping.length };
}

function sameMaps(a: IdMaps | undefined, b: IdMaps | undefined): boolean {
  const same = (kind: 'uids' | 'gids') =>
    a?.[kind].hostId === b?.[kind].hostId && a?.[kind].length === b?.[kind].length;
  return same('uids') && same('gids');
}
