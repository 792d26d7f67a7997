import { setTimeout as sleep } from 'node:timers/promises';
import type { CriClient } from '../../src/cri/client.ts';
import { containerdServer } from './containerd-server.ts';
import { coracleServer } from './coracle-server.ts';
import type { Host } from './host.ts';
import { IMAGE, PAYLOAD } from './host.ts';

/** A CRI server that takes part, and its processes. */
export interface CriServer extends AsyncDisposable {
  name: string;
  client: CriClient;
  socket: string;
  pid: number;
  /** One for each pod: monitors, or shims. */
  helpers(): Promise<number[]>;
  /** Ends the server; containers go on. */
  end(): Promise<void>;
  /** Starts it again; returns when it answers. */
  begin(): Promise<void>;
}

export type CriNetwork = 'host' | 'embedded' | 'cni';

export interface CriServers extends AsyncDisposable {
  servers: CriServer[];
  notes: string[];
}

/** Coracle and whichever of the peers run here. */
export async function openCriServers(host: Host, network: CriNetwork): Promise<CriServers> {
  const servers: CriServer[] = [];
  const notes: string[] = [];
  const close = async () => {
    const closing = servers.map((server) => server[Symbol.asyncDispose]());
    await Promise.allSettled(closing);
    await Promise.all(closing);
  };
  try {
    servers.push(await coracleServer(host, network));
    // A peer has no network of its own: it gets the plugins.
    const cni = network === 'host' ? undefined : host.cniBin;
    for (const oci of ['crun', 'runc'] as const) {
      const why = await leftOut(host, oci, network, async (containerd, binary) => {
        servers.push(await containerdServer(host, oci, containerd, binary, cni));
      });
      if (why) notes.push(`containerd + ${oci} is left out: ${why}.`);
    }
    return { servers, notes, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function leftOut(
  host: Host,
  oci: 'crun' | 'runc',
  network: CriNetwork,
  start: (containerd: string, binary: string) => Promise<void>,
): Promise<string | undefined> {
  const { containerd, [oci]: binary } = host.peers;
  if (!containerd || !binary) return 'not installed';
  if (network !== 'host' && !host.cniBin) return 'no CNI plugins here';
  try {
    await start(containerd, binary);
    return undefined;
  } catch (error) {
    return String(error).split('\n')[0];
  }
}

const NODE = 2;
const CONTAINER = 1;

/** A pod as the kubelet asks for one. */
export function podConfig(name: string, attempt: number, network: CriNetwork, logs?: string) {
  const namespaceOptions = { pid: CONTAINER, network: network === 'host' ? NODE : 0 };
  return {
    metadata: { name, namespace: 'bench', uid: `${name}-${attempt}`, attempt },
    linux: { securityContext: { namespaceOptions } },
    ...(logs === undefined ? {} : { logDirectory: logs }),
  };
}

/** A container with the default seccomp profile; its payload waits by default. */
export function containerConfig(
  name: string,
  command: string[] = [PAYLOAD],
  more: { logPath?: string; mounts?: { hostPath: string; containerPath: string }[] } = {},
) {
  const namespaceOptions = { pid: CONTAINER };
  return {
    metadata: { name },
    image: { image: IMAGE },
    command,
    linux: { securityContext: { namespaceOptions, seccomp: { profileType: 0 } } },
    ...more,
  };
}

type PodConfig = ReturnType<typeof podConfig>;

/** Makes and starts a container; returns its id. */
export async function runContainer(
  client: CriClient,
  podSandboxId: string,
  sandboxConfig: PodConfig,
  config: ReturnType<typeof containerConfig>,
): Promise<string> {
  const { containerId } = await client.createContainer({ podSandboxId, sandboxConfig, config });
  await client.startContainer({ containerId });
  return containerId;
}

export async function runPod(client: CriClient, config: PodConfig): Promise<string> {
  const { podSandboxId } = await client.runPodSandbox({ config });
  return podSandboxId;
}

export async function removePod(client: CriClient, podSandboxId: string): Promise<void> {
  await client.stopPodSandbox({ podSandboxId });
  await client.removePodSandbox({ podSandboxId });
}

const EXITED = 2;

/** Asks every `ms`; returns the exit code. */
export async function exited(client: CriClient, containerId: string, ms = 1): Promise<number> {
  for (;;) {
    const { status } = await client.containerStatus({ containerId });
    if (status?.state === EXITED) return status.exitCode;
    await sleep(ms);
  }
}
