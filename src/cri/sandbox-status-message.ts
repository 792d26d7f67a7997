/** Sandboxes as CRI messages. */
import { podResourcesOf } from '../runtime/update-pod-resources.ts';
import type { SandboxConfig } from '../spec/config.ts';
import type { Sandbox } from '../store/sandboxes.ts';
import {
  NamespaceMode,
  type NamespaceOption,
  type PodSandbox,
  type PodSandboxMetadata,
  PodSandboxState,
  type PodSandboxStatus,
} from './gen/cri.ts';
import { toJson } from './json.ts';
import { userNamespaceMessage } from './user-namespace.ts';

const MODES = {
  pod: NamespaceMode.POD,
  // A network namespace of the pod's own, with nothing in it.
  none: NamespaceMode.POD,
  container: NamespaceMode.CONTAINER,
  node: NamespaceMode.NODE,
} as const;

export function sandboxStateMessage(sandbox: Sandbox): PodSandboxState {
  return sandbox.state === 'ready'
    ? PodSandboxState.SANDBOX_READY
    : PodSandboxState.SANDBOX_NOTREADY;
}

/** One entry of a list. */
export function sandboxMessage(sandbox: Sandbox): PodSandbox {
  const { id, config, createdAt, runtimeHandler } = sandbox.record;
  return {
    id,
    metadata: metadata(config),
    state: sandboxStateMessage(sandbox),
    createdAt,
    labels: config.labels ?? {},
    annotations: config.annotations ?? {},
    runtimeHandler,
  };
}

export function sandboxStatusMessage(sandbox: Sandbox): PodSandboxStatus {
  // A stopped pod has given its addresses back.
  const ips = sandbox.state === 'ready' ? (sandbox.record.network?.ips ?? []) : [];
  return {
    ...sandboxMessage(sandbox),
    network: { ip: ips[0] ?? '', additionalIps: ips.slice(1).map((ip) => ({ ip })) },
    linux: { namespaces: { options: namespaceOptions(sandbox.record.config) } },
  };
}

/** The verbose part of a status, under the key that crictl's users look for. */
export function sandboxInfo(sandbox: Sandbox): Record<string, string> {
  const { config, runtimeHandler, monitorPid, reaperPid, cgroupPath, bootId, network } =
    sandbox.record;
  return {
    info: toJson({
      pid: sandbox.state === 'ready' ? monitorPid : 0,
      reaperPid: reaperPid ?? 0,
      runtimeHandler,
      cgroupPath,
      bootId,
      network,
      config,
      podResources: podResourcesOf(sandbox),
    }),
  };
}

function metadata({ name, uid, namespace, attempt }: SandboxConfig): PodSandboxMetadata {
  return { name, uid, namespace, attempt };
}

function namespaceOptions({ namespaces, userNamespace }: SandboxConfig): NamespaceOption {
  return {
    network: MODES[namespaces?.network ?? 'pod'],
    pid: MODES[namespaces?.pid ?? 'container'],
    ipc: MODES[namespaces?.ipc ?? 'pod'],
    targetId: '',
    usernsOptions: userNamespaceMessage(userNamespace),
  };
}
