/** A good request for every RPC, and bad ones made of it. */
import fc from 'fast-check';
import type { Message, Value } from './encode.ts';
import { type Place, placesIn, type Rpc, rpcs } from './schema.ts';
import { valuesFor } from './values.ts';

let names = 0;

const resources = (): Message => ({
  cpuPeriod: 100_000,
  cpuQuota: 50_000,
  cpuShares: 512,
  memoryLimitInBytes: 64 << 20,
  oomScoreAdj: 100,
});

function podConfig(): Message {
  names += 1;
  return {
    metadata: { name: `bad-${names}`, namespace: 'hostile', uid: `u-${names}`, attempt: 0 },
    hostname: 'host',
    logDirectory: '{dir}/logs',
    dnsConfig: { servers: ['10.0.0.10'], searches: ['x.local'], options: ['ndots:5'] },
    portMappings: [{ protocol: 0, containerPort: 80 }],
    labels: { app: 'x' },
    annotations: { note: 'x' },
    linux: {
      securityContext: { namespaceOptions: { pid: 1 } },
      sysctls: { 'net.ipv4.ip_unprivileged_port_start': '0' },
    },
  };
}

/** A pod that asks for more: a user namespace, limits, a place of its own among the cgroups. */
function richPodConfig(): Message {
  const map = () => [{ hostId: 100_000, length: 65_536 }];
  return {
    ...podConfig(),
    linux: {
      cgroupParent: '/coracle/bait',
      securityContext: {
        namespaceOptions: { network: 2, pid: 1, usernsOptions: { uids: map(), gids: map() } },
        runAsUser: { value: 1 },
        seccomp: { profileType: 2, localhostRef: '{dir}/seccomp.json' },
      },
      overhead: resources(),
      resources: resources(),
    },
  };
}

function containerConfig(): Message {
  names += 1;
  return {
    metadata: { name: 'c', attempt: names },
    image: { image: '{image}' },
    command: ['sh', '-c'],
    args: ['exec sleep 1000'],
    workingDir: '/',
    envs: [{ key: 'A', value: 'b' }],
    mounts: [{ containerPath: '/mnt', hostPath: '{dir}' }],
    devices: [{ containerPath: '/dev/one', hostPath: '/dev/null', permissions: 'rwm' }],
    labels: { app: 'x' },
    annotations: { note: 'x' },
    logPath: 'c.log',
    linux: { resources: resources(), securityContext: { namespaceOptions: { pid: 1 } } },
  };
}

/** A container that makes use of what the first one leaves out. */
function richContainerConfig(): Message {
  const config = containerConfig();
  return {
    ...config,
    mounts: [
      { containerPath: '/image', readonly: true, image: { image: '{image}' }, imageSubPath: 'bin' },
      { containerPath: '/mnt', hostPath: '{dir}', readonly: true, recursiveReadOnly: true },
    ],
    stdin: true,
    tty: true,
    stopSignal: 10,
    linux: {
      resources: resources(),
      securityContext: {
        namespaceOptions: { pid: 3, targetId: '{running}' },
        capabilities: { addCapabilities: ['NET_ADMIN'], dropCapabilities: ['CHOWN'] },
        runAsUser: { value: 1000 },
        runAsGroup: { value: 1000 },
        supplementalGroups: [7],
        maskedPaths: ['/proc/kcore'],
        readonlyPaths: ['/proc/bus'],
        seccomp: { profileType: 2, localhostRef: '{dir}/seccomp.json' },
      },
    },
  };
}

const pod = { podSandboxId: '{pod}' };
const running = { containerId: '{running}' };
const image = { image: { image: '{image}' } };
const streams = { stdout: true };

/** What is not here has a good request without anything in it. */
const GOOD: Record<string, (rich: boolean) => Message> = {
  UpdateRuntimeConfig: () => ({ runtimeConfig: { networkConfig: { podCidr: '10.1.0.0/16' } } }),
  RunPodSandbox: (rich) => ({ config: rich ? richPodConfig() : podConfig() }),
  StopPodSandbox: () => pod,
  RemovePodSandbox: () => pod,
  PodSandboxStatus: () => ({ ...pod, verbose: true }),
  ListPodSandbox: () => ({ filter: { id: '{pod:8}' } }),
  UpdatePodSandboxResources: () => ({ ...pod, resources: resources() }),
  CreateContainer: (rich) => ({
    ...pod,
    config: rich ? richContainerConfig() : containerConfig(),
    sandboxConfig: podConfig(),
  }),
  StartContainer: () => ({ containerId: '{created}' }),
  StopContainer: () => ({ ...running, timeout: 1 }),
  RemoveContainer: () => running,
  ContainerStatus: () => ({ ...running, verbose: true }),
  ListContainers: () => ({ filter: { id: '{running:8}', podSandboxId: '{pod}' } }),
  UpdateContainerResources: () => ({ ...running, linux: resources() }),
  ReopenContainerLog: () => running,
  ExecSync: () => ({ ...running, cmd: ['true'], timeout: 5 }),
  Exec: () => ({ ...running, cmd: ['true'], ...streams }),
  Attach: () => ({ ...running, ...streams }),
  PortForward: () => ({ ...pod, port: [80] }),
  ContainerStats: () => running,
  PodSandboxStats: () => pod,
  ImageStatus: () => image,
  PullImage: () => ({ image: { image: 'localhost:1/x/y:z' } }),
  PullWithProgress: () => ({ image: { image: 'localhost:1/x/y:z' } }),
  RemoveImage: () => image,
  ImportImage: () => ({ path: '{dir}/layout' }),
};

export interface BadRequest {
  rpc: Rpc;
  request: Message;
  /** What was changed in a good request; none in one made up as a whole. */
  changed: Place[];
}

export function goodRequest(name: string, rich = false): Message {
  return GOOD[name]?.(rich) ?? {};
}

/** Good requests with one to three fields of any value, wherever they are; or nothing but those. */
export function badRequests(rpc: Rpc): fc.Arbitrary<BadRequest> {
  const places = placesIn(rpc.request).filter(isOfUse);
  if (places.length === 0) return fc.constant({ rpc, request: {}, changed: [] });
  const change = fc
    .constantFrom(...places)
    .chain((place) => valuesFor(last(place)).map((value) => ({ place, value })));
  const several = fc.array(change, { minLength: 1, maxLength: 3 });
  return fc
    .record({
      changes: fc.oneof({ weight: 2, arbitrary: change.map((one) => [one]) }, several),
      base: fc.oneof(
        { weight: 5, arbitrary: fc.constant('plain') },
        { weight: 4, arbitrary: fc.constant('rich') },
        { weight: 1, arbitrary: fc.constant('empty') },
      ),
    })
    .map(({ changes, base }) => {
      const good = base === 'empty' ? {} : goodRequest(rpc.name, base === 'rich');
      const request = structuredClone(good);
      for (const { place, value } of changes) set(request, place, value);
      return { rpc, request, changed: base === 'empty' ? [] : changes.map(({ place }) => place) };
    });
}

/** Of parts that are refused or ignored as a whole, what they are made of is of no matter. */
function isOfUse(place: Place): boolean {
  return !place.slice(0, -1).some(({ name }) => name === 'windows' || name === 'sandbox_config');
}

/** The RPCs that take a configuration have most of what can go wrong. */
export const anyBadRequest: fc.Arbitrary<BadRequest> = fc.oneof(
  ...rpcs.map((rpc) => ({
    weight: /^(Checkpoint|Restore|Pull)/.test(rpc.name)
      ? 1
      : Math.ceil(Math.sqrt(placesIn(rpc.request).filter(isOfUse).length)) + 1,
    arbitrary: badRequests(rpc),
  })),
);

export function last(place: Place): Place[number] {
  return place[place.length - 1] as Place[number];
}

/** Of what is repeated, the first one is changed. */
export function set(into: Message, place: Place, value: Value): void {
  const [field, ...rest] = place;
  if (rest.length === 0) {
    into[field.key] = value;
    return;
  }
  let inner = into[field.key];
  if (field.repeated) {
    const list = Array.isArray(inner) && inner.length > 0 ? inner : [{}];
    into[field.key] = list;
    inner = list[0];
  }
  if (!isMessage(inner)) inner = {};
  if (field.repeated) (into[field.key] as Value[])[0] = inner;
  else into[field.key] = inner;
  set(inner, rest as unknown as Place, value);
}

function isMessage(value: Value | undefined): value is Message {
  return typeof value === 'object' && !Array.isArray(value) && !(value instanceof Uint8Array);
}
