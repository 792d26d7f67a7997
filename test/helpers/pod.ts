import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { ContainerConfig, UserNamespace } from '../../src/cri/gen/cri.ts';
import { ContainerState, type DeepPartial, NamespaceMode } from '../../src/cri/gen/cri.ts';
import type { TestServer } from './server.ts';

let pods = 0;

export interface TestPod {
  id: string;
  logDir: string;
  config: { metadata: { name: string; namespace: string; uid: string; attempt: number } };
  /** Creates a container of the busybox image; returns its id. */
  create(command: string[], more?: DeepPartial<ContainerConfig>): Promise<string>;
  /** Creates and starts. */
  run(command: string[], more?: DeepPartial<ContainerConfig>): Promise<string>;
}

/** Runs a sandbox with a log directory of its own. */
export async function runPod(
  server: TestServer,
  image: string,
  pid: NamespaceMode = NamespaceMode.CONTAINER,
  network: NamespaceMode = NamespaceMode.POD,
  privileged = false,
  usernsOptions?: DeepPartial<UserNamespace>,
  sysctls: Record<string, string> = {},
): Promise<TestPod> {
  pods += 1;
  const logDir = join(server.dir, 'logs', `pod-${pods}`);
  mkdirSync(logDir, { recursive: true });
  const config = {
    metadata: { name: `pod-${pods}`, namespace: 'test', uid: `uid-${pods}`, attempt: 0 },
    hostname: `pod-${pods}`,
    logDirectory: logDir,
    linux: {
      securityContext: {
        namespaceOptions: { network, pid, ...(usernsOptions && { usernsOptions }) },
        privileged,
      },
      sysctls,
    },
  };
  const { podSandboxId } = await server.client.runPodSandbox({ config });
  let attempt = 0;
  const create = async (command: string[], more: DeepPartial<ContainerConfig> = {}) => {
    attempt += 1;
    const { containerId } = await server.client.createContainer({
      podSandboxId,
      sandboxConfig: config,
      config: {
        metadata: { name: 'c', attempt },
        image: { image },
        command,
        logPath: `c-${attempt}.log`,
        ...more,
        linux: {
          ...more.linux,
          securityContext: { namespaceOptions: { pid }, ...more.linux?.securityContext },
        },
      },
    });
    return containerId;
  };
  const run = async (command: string[], more: DeepPartial<ContainerConfig> = {}) => {
    const containerId = await create(command, more);
    await server.client.startContainer({ containerId });
    return containerId;
  };
  return { id: podSandboxId, logDir, config, create, run };
}

/** The status of a container once it has exited; fails after `ms`. */
export async function exited(server: TestServer, containerId: string, ms = 10_000) {
  const end = Date.now() + ms;
  for (;;) {
    const { status } = await server.client.containerStatus({ containerId });
    if (status?.state === ContainerState.CONTAINER_EXITED) return status;
    if (Date.now() > end)
      throw new Error(`container ${containerId} did not exit: ${status?.state}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
