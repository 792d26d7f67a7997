import * as v from 'valibot';
import type { SandboxConfig } from '../../spec/config.ts';
import {
  flag,
  id,
  integer,
  ip,
  list,
  name,
  path,
  port,
  positive,
  resources,
  text,
  texts,
} from './parts.ts';

const idMap = v.strictObject({ hostId: id, length: positive });

/** Nothing above the parent's own hierarchy. */
const cgroupParent = v.pipe(
  text,
  v.check(
    (given) => !given.split('/').some((part) => part === '.' || part === '..'),
    'has "." or ".."',
  ),
);

const entries = {
  name: v.optional(name),
  namespace: v.optional(name),
  uid: v.optional(name),
  hostname: v.optional(text),
  logDirectory: v.optional(path),
  dns: v.optional(v.strictObject({ servers: v.array(ip), searches: list, options: list })),
  portMappings: v.optional(
    v.array(
      v.strictObject({
        protocol: v.picklist(['tcp', 'udp', 'sctp']),
        containerPort: v.pipe(port, v.minValue(1, 'is not a port')),
        hostPort: port,
        hostIp: v.union([v.literal(''), ip]),
      }),
    ),
  ),
  labels: v.optional(texts),
  annotations: v.optional(texts),
  cgroupParent: v.optional(cgroupParent),
  sysctls: v.optional(texts),
  podResources: v.optional(
    v.strictObject({ resources: v.optional(resources), overhead: v.optional(resources) }),
  ),
  namespaces: v.optional(
    v.strictObject({
      network: v.optional(v.picklist(['pod', 'node', 'none'])),
      pid: v.optional(v.picklist(['pod', 'container', 'node'])),
      ipc: v.optional(v.picklist(['pod', 'node'])),
    }),
  ),
  userNamespace: v.optional(v.strictObject({ uids: idMap, gids: idMap })),
  privileged: v.optional(flag),
  shmSize: v.optional(integer),
  attached: v.optional(flag),
} satisfies Record<keyof Omit<SandboxConfig, 'attempt'>, v.GenericSchema>;

/** `PodOptions`. */
export const podOptions = v.strictObject(entries);
