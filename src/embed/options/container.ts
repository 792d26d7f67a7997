import * as v from 'valibot';
import type {
  ContainerConfig,
  DeviceConfig,
  MountConfig,
  SecurityConfig,
} from '../../spec/config.ts';
import { MOUNT_FLAGS } from '../../spec/config.ts';
import { flag, id, integer, list, name, path, resources, text, texts } from './parts.ts';

const mount = v.strictObject({
  containerPath: path,
  hostPath: v.optional(path),
  image: v.optional(
    v.strictObject({
      name,
      subPath: v.optional(text),
      userSpecifiedImage: v.optional(text),
      imageAnnotations: v.optional(texts),
    }),
  ),
  readonly: v.optional(flag),
  recursiveReadonly: v.optional(flag),
  flags: v.optional(v.array(v.picklist(MOUNT_FLAGS))),
  createHostPath: v.optional(flag),
  propagation: v.optional(v.picklist(['private', 'rslave', 'rshared'])),
  mapIds: v.optional(flag),
} satisfies Record<keyof MountConfig, v.GenericSchema>);

const device = v.strictObject({
  containerPath: path,
  hostPath: path,
  permissions: v.pipe(v.string(), v.regex(/^[rwm]{1,3}$/, 'is not of "r", "w", "m"')),
} satisfies Record<keyof DeviceConfig, v.GenericSchema>);

const plain = ['runtimeDefault', 'unconfined'] as const;

const security = v.strictObject({
  privileged: v.optional(flag),
  addCapabilities: v.optional(list),
  dropCapabilities: v.optional(list),
  addAmbientCapabilities: v.optional(list),
  pid: v.optional(v.picklist(['pod', 'container', 'node', 'target'])),
  targetId: v.optional(text),
  runAsUser: v.optional(id),
  runAsGroup: v.optional(id),
  runAsUsername: v.optional(text),
  supplementalGroups: v.optional(v.array(id)),
  supplementalGroupsPolicy: v.optional(v.picklist(['merge', 'strict'])),
  readonlyRootfs: v.optional(flag),
  noNewPrivs: v.optional(flag),
  maskedPaths: v.optional(list),
  readonlyPaths: v.optional(list),
  seccomp: v.optional(
    v.variant('type', [
      v.strictObject({ type: v.picklist(plain) }),
      v.strictObject({ type: v.literal('localhost'), path }),
    ]),
  ),
  apparmor: v.optional(
    v.variant('type', [
      v.strictObject({ type: v.picklist(plain) }),
      v.strictObject({ type: v.literal('localhost'), name }),
    ]),
  ),
} satisfies Record<keyof SecurityConfig, v.GenericSchema>);

const entries = {
  name: v.optional(name),
  image: name,
  userSpecifiedImage: v.optional(text),
  imageAnnotations: v.optional(texts),
  command: v.optional(list),
  args: v.optional(list),
  workingDir: v.optional(text),
  env: v.optional(v.array(v.strictTuple([text, text]))),
  mounts: v.optional(v.array(mount)),
  devices: v.optional(v.array(device)),
  labels: v.optional(texts),
  annotations: v.optional(texts),
  logPath: v.optional(text),
  stdin: v.optional(flag),
  stdinOnce: v.optional(flag),
  tty: v.optional(flag),
  resources: v.optional(resources),
  security: v.optional(security),
  stopSignal: v.optional(text),
  rlimits: v.optional(v.array(v.strictObject({ type: text, soft: integer, hard: integer }))),
} satisfies Record<keyof Omit<ContainerConfig, 'attempt'>, v.GenericSchema>;

/** `ContainerOptions`. */
export const containerOptions = v.strictObject(entries);
