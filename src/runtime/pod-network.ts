import { invalid } from '../errors.ts';
import { podBandwidth } from '../network/bandwidth.ts';
import { hostPortsOf } from '../network/host-port-list.ts';
import type { AttachRequest, HostPort, LivePod } from '../network/index.ts';
import type { SandboxConfig } from '../spec/config.ts';
import type { Sandbox } from '../store/sandboxes.ts';

/** What a pod's configuration says of its network. */
export type NetworkNeeds = Pick<
  AttachRequest,
  'pod' | 'hostPorts' | 'bandwidth' | 'annotations' | 'cgroupParent'
>;

/**
 * What is asked of the network for a pod; undefined for one on the host's, whose host ports are
 * its own, and for one that wants nothing but a loopback interface. Pure.
 *
 * @throws InvalidArgument for what makes no sense; nothing has been made for the pod yet.
 */
export function networkNeeds(config: SandboxConfig): NetworkNeeds | undefined {
  const mode = config.namespaces?.network ?? 'pod';
  if (mode === 'node') return undefined;
  const hostPorts = hostPortsOf(config.portMappings ?? []);
  const bandwidth = podBandwidth(config.annotations ?? {});
  if (mode === 'none') {
    const port = hostPorts[0]?.hostPort;
    if (port !== undefined) throw invalid('port_mappings', port, 'needs a pod with a network');
    return undefined;
  }
  const { name, namespace, uid, annotations, cgroupParent } = config;
  return { pod: { name, namespace, uid }, hostPorts, bandwidth, annotations, cgroupParent };
}

/** A ready pod as the network is told of it after a restart; undefined where it has none. */
export function livePod({ record, state }: Sandbox): LivePod | undefined {
  if (state !== 'ready' || !record.network) return undefined;
  const { id, config, network } = record;
  if ((config.namespaces?.network ?? 'pod') !== 'pod') return undefined;
  return { sandboxId: id, ips: network.ips, hostPorts: hostPortsOfRecord(config) };
}

/** A record that an earlier version took without looking has none: it must not end the recovery. */
function hostPortsOfRecord(config: SandboxConfig): HostPort[] {
  try {
    return hostPortsOf(config.portMappings ?? []);
  } catch {
    return [];
  }
}
