import { invalid } from '../../errors.ts';
import type { AttachRequest } from '../index.ts';
import type { CniAttachment } from './attachments.ts';
import type { JsonObject, NetworkConf, PluginConf } from './conf.ts';
import type { AttachmentParameters } from './exec.ts';
import type { CniVersion } from './version.ts';

/** Name of the capability under which containerd passes a pod's annotations. */
const POD_ANNOTATIONS = 'io.kubernetes.cri.pod-annotations';

/** Bits. Pods' annotations have no burst; as elsewhere in the field, it is as good as unlimited. */
const BURST = 2 ** 32 - 1;

/**
 * CNI_ARGS of a pod, by the names that plugins for Kubernetes read.
 *
 * @throws InvalidArgument for a value that would be read as another argument.
 */
export function cniArgs({ sandboxId, pod }: AttachRequest): string {
  const pairs = {
    IgnoreUnknown: '1',
    K8S_POD_NAMESPACE: pod.namespace,
    K8S_POD_NAME: pod.name,
    K8S_POD_INFRA_CONTAINER_ID: sandboxId,
    K8S_POD_UID: pod.uid,
  };
  for (const [name, value] of Object.entries(pairs)) {
    if (/[;=\0]/.test(value)) {
      throw invalid(name, value, 'cannot be told to CNI plugins: it contains ";" or "="');
    }
  }
  return Object.entries(pairs)
    .map((pair) => pair.join('='))
    .join(';');
}

/** What the pod asks for, by the capability (CNI conventions) that a plugin must declare for it. */
export function capabilityArgs(request: AttachRequest): JsonObject {
  const { hostPorts, bandwidth, annotations, cgroupParent } = request;
  const all: JsonObject = {};
  if (hostPorts.length > 0) {
    all.portMappings = hostPorts.map(({ hostIp, ...port }) => ({
      ...port,
      ...(hostIp !== '' && { hostIP: hostIp }),
    }));
  }
  const { ingress, egress } = bandwidth;
  if (ingress !== undefined || egress !== undefined) {
    all.bandwidth = {
      ...(ingress !== undefined && { ingressRate: ingress, ingressBurst: BURST }),
      ...(egress !== undefined && { egressRate: egress, egressBurst: BURST }),
    };
  }
  if (annotations) all[POD_ANNOTATIONS] = { ...annotations };
  if (cgroupParent) all.cgroupPath = cgroupParent;
  return all;
}

/** What a plugin reads (CNI spec 1.1.0, section 3), with neither capabilities nor a result. */
export function baseConfig(
  network: NetworkConf,
  version: CniVersion,
  plugin: PluginConf,
): JsonObject {
  const config: JsonObject = {};
  for (const [key, value] of Object.entries(plugin.raw)) {
    // Reserved. `capabilities` stays, against the letter of the specification: libcni lets it
    // through, and plugins that delegate to others read it.
    if (key !== 'prevResult' && !key.startsWith('cni.dev/')) config[key] = value;
  }
  return { ...config, name: network.name, cniVersion: version };
}

/** What a plugin reads for a command about an attachment. */
export function attachmentConfig(
  network: NetworkConf,
  attachment: CniAttachment,
  plugin: PluginConf,
  prevResult: JsonObject | undefined,
): JsonObject {
  const config = baseConfig(network, attachment.cniVersion, plugin);
  const given = Object.entries(attachment.capabilityArgs).filter(([name]) =>
    plugin.capabilities.includes(name),
  );
  if (given.length > 0) config.runtimeConfig = Object.fromEntries(given);
  if (prevResult) config.prevResult = prevResult;
  return config;
}

export function parameters(attachment: CniAttachment, netns: string): AttachmentParameters {
  const { sandboxId, ifName, args } = attachment;
  return { sandboxId, netns, ifName, args };
}
