/** Containers as CRI messages. */
import type { IdMaps } from '../native/types.ts';
import { currentSpec } from '../runtime/current-spec.ts';
import type { PhaseTimes } from '../runtime/launch-phases.ts';
import { resourcesOf } from '../runtime/update-resources.ts';
import type { MountConfig } from '../spec/config.ts';
import { idMapsOf } from '../spec/user-namespace.ts';
import { type ContainerState as State, stateOf } from '../store/container-status.ts';
import type { Container as StoredContainer } from '../store/containers.ts';
import type { ContainerRecord } from '../store/types.ts';
import {
  type Container,
  ContainerState,
  type ContainerStatus,
  type ContainerUser,
  Mount,
  MountPropagation,
} from './gen/cri.ts';
import { imageSpecMessage } from './image-message.ts';
import { toJson } from './json.ts';
import { resourcesMessage } from './resources-message.ts';
import { signalToCri } from './signal.ts';
import { mappingMessages } from './user-namespace.ts';

const STATES: Readonly<Record<State, ContainerState>> = {
  created: ContainerState.CONTAINER_CREATED,
  running: ContainerState.CONTAINER_RUNNING,
  exited: ContainerState.CONTAINER_EXITED,
  unknown: ContainerState.CONTAINER_UNKNOWN,
};

const PROPAGATIONS = {
  private: MountPropagation.PROPAGATION_PRIVATE,
  rslave: MountPropagation.PROPAGATION_HOST_TO_CONTAINER,
  rshared: MountPropagation.PROPAGATION_BIDIRECTIONAL,
} as const;

export function containerStateMessage(container: StoredContainer): ContainerState {
  return STATES[stateOf(container.status.get())];
}

/** One entry of a list. */
export function containerMessage(container: StoredContainer): Container {
  const { id, sandboxId, config, createdAt, imageRef, imageId } = container.record;
  return {
    id,
    podSandboxId: sandboxId,
    metadata: { name: config.name, attempt: config.attempt },
    image: imageSpecMessage(config),
    imageRef,
    imageId,
    state: containerStateMessage(container),
    createdAt,
    labels: config.labels ?? {},
    annotations: config.annotations ?? {},
  };
}

/**
 * A container's status.
 *
 * `logPath` is the log's host path, or absent where its output is discarded. `imageName` is the
 * name that the image has now, which a client shows instead of the id that it was made from.
 */
export function containerStatusMessage(
  container: StoredContainer,
  logPath: string | undefined,
  imageName: string | undefined,
): ContainerStatus {
  const { record } = container;
  const { config } = record;
  const status = container.status.get();
  const listed = containerMessage(container);
  return {
    id: record.id,
    metadata: listed.metadata,
    state: listed.state,
    createdAt: record.createdAt,
    startedAt: status.startedAt,
    finishedAt: status.finishedAt,
    exitCode: status.exitCode,
    image: imageSpecMessage(config, imageName),
    imageRef: record.imageRef,
    imageId: record.imageId,
    reason: status.reason,
    message: status.message,
    labels: listed.labels,
    annotations: listed.annotations,
    mounts: mountMessages(record),
    logPath: logPath ?? '',
    resources: {
      linux: resourcesMessage(resourcesOf(container)),
      windows: undefined,
    },
    user: userMessage(status.user),
    stopSignal: signalToCri(record.stopSignal),
  };
}

/** The verbose part of a status, under the key that crictl's users look for. */
export function containerInfo(
  container: StoredContainer,
  launchSeconds: PhaseTimes,
): Record<string, string> {
  const { sandboxId, config, cgroupPath, layers } = container.record;
  const { pid, removing, resources, updateAnnotations } = container.status.get();
  return {
    info: toJson({
      sandboxID: sandboxId,
      pid,
      removing,
      cgroupPath,
      layers,
      config,
      runtimeSpec: currentSpec(container.record, resources),
      updateAnnotations,
      launchSeconds,
    }),
  };
}

/** As they were asked for; of an image besides its id, as PullImage has told it. */
function mountMessages({ config, mountedImages = [], spec }: ContainerRecord): Mount[] {
  const ids = new Map(mountedImages.map(({ mount, imageId }) => [mount, imageId]));
  const maps = idMapsOf(spec.linux);
  return (config.mounts ?? []).map((mount, index) => mountMessage(mount, ids.get(index), maps));
}

function mountMessage(mount: MountConfig, imageId = '', maps?: IdMaps): Mount {
  const { image } = mount;
  const mappings = mount.mapIds && maps ? mappingMessages(maps) : { uids: [], gids: [] };
  return Mount.fromPartial({
    containerPath: mount.containerPath,
    hostPath: mount.hostPath ?? '',
    readonly: mount.readonly ?? image !== undefined,
    recursiveReadOnly: mount.recursiveReadonly ?? false,
    propagation: PROPAGATIONS[mount.propagation ?? 'private'],
    mountOptions: [...(mount.flags ?? [])],
    uidMappings: mappings.uids,
    gidMappings: mappings.gids,
    ...(image && {
      image: {
        image: image.name,
        userSpecifiedImage: image.userSpecifiedImage ?? image.name,
        annotations: image.imageAnnotations ?? {},
        imageRef: imageId,
      },
      imageSubPath: image.subPath ?? '',
    }),
  });
}

/** Unknown until the process has been made. */
function userMessage(
  user: { uid: number; gid: number; groups: readonly number[] } | undefined,
): ContainerUser | undefined {
  if (!user) return undefined;
  return {
    linux: {
      uid: BigInt(user.uid),
      gid: BigInt(user.gid),
      supplementalGroups: user.groups.map(BigInt),
    },
  };
}
