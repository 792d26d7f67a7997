/** The steps that build a container's root: mounts, device nodes, masks. */
import { basename, join } from 'node:path';
import type { IdMaps, Step } from '../../native/types.ts';
import { POD_SHM } from '../../spec/mounts.ts';
import type { Device, Mount, Spec } from '../../spec/oci.ts';
import { hostId, idMapsOf } from '../../spec/user-namespace.ts';
import type { CgroupLayout } from '../cgroup/layout.ts';
import { MOUNT_ATTR_IDMAP, MOUNT_ATTR_RDONLY, S_IFBLK, S_IFCHR } from './constants.ts';
import { parseMountOptions } from './mount-options.ts';

/** The runtime specification's links ("Default Devices", "/dev symbolic links"). */
const DEV_LINKS: readonly [target: string, content: string][] = [
  ['/dev/ptmx', 'pts/ptmx'],
  ['/dev/fd', '/proc/self/fd'],
  ['/dev/stdin', '/proc/self/fd/0'],
  ['/dev/stdout', '/proc/self/fd/1'],
  ['/dev/stderr', '/proc/self/fd/2'],
];

/**
 * Every mount in the specification's order. /dev is furnished as soon as its own tmpfs is there,
 * so that a later mount may cover a node; a /dev that is bound from the host stays as it is.
 */
export function mountSteps(spec: Spec, cgroup: CgroupLayout): Step[] {
  const { devices } = spec.linux;
  const maps = idMapsOf(spec.linux);
  const below = (device: Device) => device.path.startsWith('/dev/');
  return [
    ...spec.mounts.flatMap((mount) => {
      const steps = mountStep(mount, cgroup, maps);
      if (mount.destination !== '/dev' || mount.type !== 'tmpfs') return steps;
      return [...steps, ...devices.filter(below).map(nodeStep), ...DEV_LINKS.map(linkStep)];
    }),
    ...devices.filter((device) => !below(device)).map(nodeStep),
  ];
}

/** Masks come after the read-only paths: one below such a path would be covered by it. */
export function maskSteps(spec: Spec): Step[] {
  return [
    ...spec.linux.readonlyPaths.map((target): Step => ({ op: 'readonlyPath', target })),
    ...spec.linux.maskedPaths.map((target): Step => ({ op: 'mask', target })),
  ];
}

function mountStep(mount: Mount, cgroup: CgroupLayout, maps: IdMaps | undefined): Step[] {
  const { destination: target, type, source } = mount;
  const options = parseMountOptions(mount.options);
  if (type === 'cgroup') return cgroupSteps(target, options.set, cgroup);
  if (target === '/dev/shm' && type === 'tmpfs' && source === POD_SHM) {
    return [{ op: 'podShm', target }];
  }
  if (mount.image) {
    const { layers, subPath } = mount.image;
    // It is read-only in any case.
    const attributes = options.set & ~MOUNT_ATTR_RDONLY;
    return [{ op: 'imageMount', lower: layers, subPath, target, attributes }];
  }
  if (type === 'bind') {
    return [
      {
        op: 'bind',
        source,
        recursive: options.recursive,
        target,
        attributesSet: options.set | (mount.uidMappings ? MOUNT_ATTR_IDMAP : 0),
        attributesClear: options.clear,
        recursiveAttributes: options.recursiveAttributes,
        propagation: options.propagation,
      },
    ];
  }
  const data = hostIds(options.data, maps);
  return [{ op: 'mount', type, source, target, attributes: options.set, options: data }];
}

/**
 * File systems are mounted outside the pod's user namespace, where the kernel takes "uid=" and
 * "gid=" for the host's ids. One that the pod does not have is left to its root.
 */
function hostIds(data: string, maps: IdMaps | undefined): string {
  if (maps === undefined) return data;
  const mapped = data.split(',').map((option) => {
    const [, kind, id] = /^([ug]id)=(\d+)$/.exec(option) ?? [];
    if (kind === undefined) return option;
    const map = kind === 'uid' ? maps.uids : maps.gids;
    return `${kind}=${hostId(map, Number(id)) ?? map.hostId}`;
  });
  return mapped.join(',');
}

/**
 * On v2 the one hierarchy. Else a tmpfs with a directory for each, under the host's names: mounted
 * in the container's own cgroup namespace they show its cgroup as their root. Hierarchies of
 * several controllers are known by each of them besides ("cpu" → "cpu,cpuacct").
 */
function cgroupSteps(target: string, attributes: number, layout: CgroupLayout): Step[] {
  const v2 = (at: string): Step => ({
    op: 'mount',
    type: 'cgroup2',
    source: 'cgroup',
    target: at,
    attributes,
    options: '',
  });
  if (layout.mode === 'v2') return [v2(target)];
  const readonly = (attributes & MOUNT_ATTR_RDONLY) !== 0;
  const steps: Step[] = [
    {
      op: 'mount',
      type: 'tmpfs',
      source: 'tmpfs',
      target,
      // The directories below have yet to be made.
      attributes: attributes & ~MOUNT_ATTR_RDONLY,
      options: 'mode=755',
    },
  ];
  for (const { root, controllers } of layout.v1) {
    const name = basename(root);
    const named = controllers.some((controller) => controller.startsWith('name='));
    steps.push({
      op: 'mount',
      type: 'cgroup',
      source: 'cgroup',
      target: join(target, name),
      attributes,
      options: [...(named ? ['none'] : []), ...controllers].join(','),
    });
    for (const controller of controllers) {
      if (controllers.length < 2 || controller === name || controller.includes('=')) continue;
      steps.push({ op: 'symlink', content: name, target: join(target, controller) });
    }
  }
  if (layout.v2 !== undefined) steps.push(v2(join(target, 'unified')));
  if (readonly) steps.push({ op: 'readonlyPath', target });
  return steps;
}

function nodeStep(device: Device): Step {
  const type = device.type === 'b' ? S_IFBLK : S_IFCHR;
  return {
    op: 'mknod',
    target: device.path,
    mode: type | device.fileMode,
    major: device.major,
    minor: device.minor,
    uid: device.uid,
    gid: device.gid,
  };
}

function linkStep([target, content]: (typeof DEV_LINKS)[number]): Step {
  return { op: 'symlink', content, target };
}
