import { invalid, quote } from '../errors.ts';
import type { HostReport } from '../runtime/doctor.ts';
import type { DnsConfig, PortMapping, SandboxConfig } from '../spec/config.ts';
import { slicePath } from './cgroup-parent.ts';
import {
  absolutePath,
  integer,
  ipAddress,
  nonEmpty,
  oneOf,
  present,
  unsupported,
  withoutNul,
  word,
} from './fields.ts';
import {
  type PortMapping as CriPortMapping,
  type DNSConfig,
  type LinuxPodSandboxConfig,
  type LinuxSandboxSecurityContext,
  NamespaceMode,
  type NamespaceOption,
  type PodSandboxConfig,
  Protocol,
} from './gen/cri.ts';
import { apparmorFromCri, checkSelinux, seccompFromCri } from './security-profiles.ts';
import { resourcesFromCri } from './translate-resources.ts';
import { userNamespaceFromCri } from './user-namespace.ts';

/** HOST_NAME_MAX of limits.h: what sethostname(2) takes, in bytes. */
const MAX_HOSTNAME = 64;

const PROTOCOLS = {
  [Protocol.TCP]: 'tcp',
  [Protocol.UDP]: 'udp',
  [Protocol.SCTP]: 'sctp',
} as const;

const POD_OR_NODE = { [NamespaceMode.POD]: 'pod', [NamespaceMode.NODE]: 'node' } as const;
const PID_MODES = { ...POD_OR_NODE, [NamespaceMode.CONTAINER]: 'container' } as const;

/** Of this machine, what decides whether a request can be met. */
export interface TranslationHost {
  readonly report: HostReport;
  readonly cgroupDriver: 'cgroupfs' | 'systemd';
}

/**
 * A sandbox configuration from CRI's. `field` is where the message stands in its request.
 *
 * Throws InvalidArgument for what makes no sense and Unimplemented for what Coracle has not, both
 * naming the field.
 */
export function sandboxFromCri(
  message: PodSandboxConfig | undefined,
  host: TranslationHost,
  field = 'config',
): SandboxConfig {
  const config = present(field, message);
  const metadata = present(`${field}.metadata`, config.metadata);
  if (config.windows) throw unsupported(`${field}.windows`, 'Windows pods are');
  return {
    name: nonEmpty(`${field}.metadata.name`, metadata.name),
    namespace: nonEmpty(`${field}.metadata.namespace`, metadata.namespace),
    uid: nonEmpty(`${field}.metadata.uid`, metadata.uid),
    attempt: metadata.attempt,
    ...(config.hostname && { hostname: hostname(`${field}.hostname`, config.hostname) }),
    ...(config.logDirectory && {
      logDirectory: absolutePath(`${field}.log_directory`, config.logDirectory),
    }),
    ...(config.dnsConfig && { dns: dns(`${field}.dns_config`, config.dnsConfig) }),
    portMappings: config.portMappings.map((mapping, index) =>
      portMapping(`${field}.port_mappings[${index}]`, mapping),
    ),
    labels: { ...config.labels },
    annotations: { ...config.annotations },
    ...linux(`${field}.linux`, config.linux, host),
  };
}

function hostname(field: string, value: string): string {
  if (Buffer.byteLength(value) > MAX_HOSTNAME) {
    throw invalid(field, value, `is longer than ${MAX_HOSTNAME} bytes`);
  }
  return word(field, value);
}

function dns(field: string, config: DNSConfig): DnsConfig {
  return {
    servers: config.servers.map((server, i) => ipAddress(`${field}.servers[${i}]`, server)),
    searches: config.searches.map((domain, i) => word(`${field}.searches[${i}]`, domain)),
    options: config.options.map((option, i) => word(`${field}.options[${i}]`, option)),
  };
}

/** A host port of a pod on the host's network is the port that it listens on: nothing is mapped. */
function portMapping(field: string, mapping: CriPortMapping): PortMapping {
  return {
    protocol: oneOf(`${field}.protocol`, mapping.protocol, PROTOCOLS, Protocol),
    containerPort: integer(`${field}.container_port`, mapping.containerPort, 1, 65_535),
    hostPort: integer(`${field}.host_port`, mapping.hostPort, 0, 65_535),
    hostIp: mapping.hostIp && ipAddress(`${field}.host_ip`, mapping.hostIp),
  };
}

function linux(
  field: string,
  config: LinuxPodSandboxConfig | undefined,
  host: TranslationHost,
): Partial<SandboxConfig> {
  const parent = config?.cgroupParent ?? '';
  const sysctls = Object.entries(config?.sysctls ?? {});
  for (const [name, value] of sysctls) {
    withoutNul(`${field}.sysctls[${quote(name)}]`, name + value);
  }
  return {
    ...(parent && { cgroupParent: cgroupParent(`${field}.cgroup_parent`, parent, host) }),
    ...(sysctls.length > 0 && { sysctls: Object.fromEntries(sysctls) }),
    ...podResources(field, config),
    ...security(`${field}.security_context`, config?.securityContext, host),
  };
}

function podResources(
  field: string,
  config: LinuxPodSandboxConfig | undefined,
): Pick<SandboxConfig, 'podResources'> {
  const { resources, overhead } = config ?? {};
  if (!resources && !overhead) return {};
  return {
    podResources: {
      ...(resources && { resources: resourcesFromCri(`${field}.resources`, resources) }),
      ...(overhead && { overhead: resourcesFromCri(`${field}.overhead`, overhead) }),
    },
  };
}

function cgroupParent(field: string, parent: string, host: TranslationHost): string {
  withoutNul(field, parent);
  if (parent.split('/').some((part) => part === '..' || part === '.')) {
    throw invalid(field, parent, 'must not contain "." or ".."');
  }
  if (host.cgroupDriver === 'systemd') return slicePath(field, parent);
  return `/${parent.split('/').filter(Boolean).join('/')}`;
}

/**
 * Users, groups and the read-only root file system are those of a pause process. There is none:
 * the monitor holds the pod, so they are checked and otherwise mean nothing.
 */
function security(
  field: string,
  context: LinuxSandboxSecurityContext | undefined,
  host: TranslationHost,
): Partial<SandboxConfig> {
  const options = context?.namespaceOptions;
  if (context) {
    checkSelinux(field, context.selinuxOptions, host.report);
    // A pod has no process of its own that would need the profile.
    apparmorFromCri(field, context.apparmor, '', host.report);
    seccompFromCri(field, context.seccomp, context.seccompProfilePath);
    if (context.runAsGroup && !context.runAsUser) {
      throw invalid(`${field}.run_as_group`, Number(context.runAsGroup.value), 'needs run_as_user');
    }
  }
  return {
    namespaces: namespaces(`${field}.namespace_options`, options),
    ...userNamespaceFromCri(`${field}.namespace_options.userns_options`, options?.usernsOptions),
    privileged: context?.privileged ?? false,
  };
}

/** An absent message has the meaning of its zero values: all three belong to the pod. */
function namespaces(
  field: string,
  options: NamespaceOption | undefined,
): NonNullable<SandboxConfig['namespaces']> {
  if (!options) return { network: 'pod', pid: 'pod', ipc: 'pod' };
  if (options.targetId) {
    throw invalid(`${field}.target_id`, options.targetId, 'is for containers only');
  }
  return {
    network: oneOf(`${field}.network`, options.network, POD_OR_NODE, NamespaceMode),
    pid: oneOf(`${field}.pid`, options.pid, PID_MODES, NamespaceMode),
    ipc: oneOf(`${field}.ipc`, options.ipc, POD_OR_NODE, NamespaceMode),
  };
}
