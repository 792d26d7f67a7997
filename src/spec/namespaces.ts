/** Which namespaces a container has, by the pod's and its own configuration. */
import { invalid } from '../errors.ts';
import type { LaunchPlan } from '../native/types.ts';
import type { ContainerConfig, SandboxConfig } from './config.ts';
import type { HostFacts } from './host.ts';
import type { Namespace } from './oci.ts';

/** Processes whose namespaces the container shares, as seen in /proc. */
export interface PodProcesses {
  /** Holds the pod's network, IPC and UTS namespaces. */
  monitor: number;
  /** Process 1 of the pod's PID namespace, where the pod shares one. */
  reaper?: number;
  /** The first process of the container that `security.targetId` names. */
  target?: number;
}

/** Throws InvalidArgument where a target is asked for and none is named. */
export function pidMode(sandbox: SandboxConfig, container: ContainerConfig): LaunchPlan['pidMode'] {
  const mode = container.security?.pid ?? sandbox.namespaces?.pid ?? 'container';
  switch (mode) {
    case 'container':
      return 'new';
    case 'node':
      return 'host';
    case 'pod':
      if (sandbox.namespaces?.pid !== 'pod') {
        throw invalid('security.pid', mode, 'needs a pod that shares its PID namespace');
      }
      return 'pod';
    case 'target':
      if (!container.security?.targetId) {
        throw invalid('security.targetId', container.security?.targetId, 'names no container');
      }
      return 'target';
  }
}

/**
 * A privileged container on a pure cgroup v2 host keeps the host's cgroup namespace, as in
 * containerd. On v1 every container has its own: there it makes each hierarchy show the
 * container's cgroup as its root, which other runtimes reach by bind mounts.
 */
export function ownCgroupNamespace(privileged: boolean, host: Pick<HostFacts, 'cgroup'>): boolean {
  return !(privileged && host.cgroup === 'v2');
}

export function containerNamespaces(
  sandbox: SandboxConfig,
  container: ContainerConfig,
  host: Pick<HostFacts, 'cgroup'>,
  pod: PodProcesses,
): Namespace[] {
  const list: Namespace[] = [{ type: 'mount' }];
  if (sandbox.userNamespace !== undefined) list.push({ type: 'user' });
  const of = (pid: number | undefined, name: string) =>
    pid === undefined ? {} : { path: `/proc/${pid}/ns/${name}` };
  switch (pidMode(sandbox, container)) {
    case 'new':
      list.push({ type: 'pid' });
      break;
    case 'pod':
      list.push({ type: 'pid', ...of(pod.reaper, 'pid') });
      break;
    case 'target':
      list.push({ type: 'pid', ...of(pod.target, 'pid') });
      break;
    case 'host':
      break;
  }
  if (sandbox.namespaces?.ipc !== 'node') list.push({ type: 'ipc', ...of(pod.monitor, 'ipc') });
  if (sandbox.namespaces?.network !== 'node') {
    list.push({ type: 'network', ...of(pod.monitor, 'net') });
    list.push({ type: 'uts', ...of(pod.monitor, 'uts') });
  }
  if (ownCgroupNamespace(container.security?.privileged === true, host))
    list.push({ type: 'cgroup' });
  return list;
}
