import { invalid } from '../errors.ts';
import { hostHas } from '../runtime/doctor.ts';
import {
  MOUNT_FLAGS,
  type MountConfig,
  type MountFlag,
  type MountImage,
  type SandboxConfig,
} from '../spec/config.ts';
import { absolutePath, oneOf, relativePath, unsupported } from './fields.ts';
import { type Mount, MountPropagation } from './gen/cri.ts';
import { imageName, imageNotes } from './image-name.ts';
import type { TranslationHost } from './translate-sandbox.ts';
import { mapsIds } from './user-namespace.ts';

const PROPAGATIONS = {
  [MountPropagation.PROPAGATION_PRIVATE]: 'private',
  [MountPropagation.PROPAGATION_HOST_TO_CONTAINER]: 'rslave',
  [MountPropagation.PROPAGATION_BIDIRECTIONAL]: 'rshared',
} as const;

/** One mount of a container: of a host path or, where it names one, of an image. */
export function mountFromCri(
  field: string,
  mount: Mount,
  sandbox: SandboxConfig,
  host: TranslationHost,
): MountConfig {
  const image = imageFromCri(field, mount);
  // Kubelet asks for it on every host; without SELinux there is nothing to relabel.
  if (mount.selinuxRelabel && hostHas(host.report, 'selinux')) {
    throw unsupported(`${field}.selinux_relabel`, 'SELinux labels are');
  }
  return {
    containerPath: absolutePath(`${field}.container_path`, mount.containerPath),
    // Other runtimes make what is missing, and pods have come to rely on it.
    ...(image
      ? { image }
      : { hostPath: absolutePath(`${field}.host_path`, mount.hostPath), createHostPath: true }),
    readonly: mount.readonly,
    ...recursiveReadonly(field, mount, host),
    ...(mapsIds(field, mount, sandbox) && { mapIds: true }),
    propagation: oneOf(`${field}.propagation`, mount.propagation, PROPAGATIONS, MountPropagation),
    ...(mount.mountOptions.length > 0 && {
      flags: mount.mountOptions.map((flag, i) => flagFromCri(`${field}.mount_options[${i}]`, flag)),
    }),
  };
}

function imageFromCri(field: string, mount: Mount): MountImage | undefined {
  const { image, imageSubPath: subPath } = mount;
  if (!image?.image) {
    if (subPath) throw invalid(`${field}.image_sub_path`, subPath, 'needs an image');
    return undefined;
  }
  if (mount.hostPath) throw invalid(`${field}.host_path`, mount.hostPath, 'excludes an image');
  if (!mount.readonly) throw invalid(`${field}.readonly`, false, 'must be true for an image');
  if (mount.propagation !== MountPropagation.PROPAGATION_PRIVATE) {
    const name = MountPropagation[mount.propagation] ?? mount.propagation;
    throw invalid(`${field}.propagation`, name, 'must be PROPAGATION_PRIVATE for an image');
  }
  return {
    name: imageName(`${field}.image`, image),
    ...imageNotes(image),
    ...(subPath && { subPath: relativePath(`${field}.image_sub_path`, subPath) }),
  };
}

function recursiveReadonly(
  field: string,
  mount: Mount,
  host: TranslationHost,
): Pick<MountConfig, 'recursiveReadonly'> {
  if (!mount.recursiveReadOnly) return {};
  const name = `${field}.recursive_read_only`;
  if (!mount.readonly) throw invalid(name, true, 'needs readonly');
  if (mount.propagation !== MountPropagation.PROPAGATION_PRIVATE) {
    throw invalid(name, true, 'needs the propagation PROPAGATION_PRIVATE');
  }
  if (!hostHas(host.report, 'mount_setattr')) {
    // Kubelet knows this refusal by its name (cri-api pkg/errors).
    throw unsupported(name, 'recursive read-only mounts are', 'RROUnsupported');
  }
  return { recursiveReadonly: true };
}

function flagFromCri(field: string, flag: string): MountFlag {
  const known = MOUNT_FLAGS.find((each) => each === flag);
  if (known) return known;
  throw invalid(field, flag, `must be one of ${MOUNT_FLAGS.join(', ')}`);
}
