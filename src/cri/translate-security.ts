import { invalid } from '../errors.ts';
import type { NamespaceMode as Mode, SandboxConfig, SecurityConfig } from '../spec/config.ts';
import { integer, nonEmpty, oneOf, withoutNul } from './fields.ts';
import {
  type Capability,
  LinuxContainerSecurityContext,
  NamespaceMode,
  type NamespaceOption,
  SupplementalGroupsPolicy,
} from './gen/cri.ts';
import { apparmorFromCri, checkSelinux, seccompFromCri } from './security-profiles.ts';
import type { TranslationHost } from './translate-sandbox.ts';
import { checkContainerUserNamespace } from './user-namespace.ts';

/** -1 as a uid or gid means "leave it" to the kernel (setuid(2), chown(2)). */
const MAX_ID = 0xfffffffe;

const PID_MODES = {
  [NamespaceMode.POD]: 'pod',
  [NamespaceMode.CONTAINER]: 'container',
  [NamespaceMode.NODE]: 'node',
  [NamespaceMode.TARGET]: 'target',
} as const;

const SHARED = { [NamespaceMode.POD]: 'pod', [NamespaceMode.NODE]: 'node' } as const;

const POLICIES = {
  [SupplementalGroupsPolicy.Merge]: 'merge',
  [SupplementalGroupsPolicy.Strict]: 'strict',
} as const;

/** A container's security settings, in a pod of the given configuration. */
export function securityFromCri(
  field: string,
  message: LinuxContainerSecurityContext | undefined,
  sandbox: SandboxConfig,
  host: TranslationHost,
): SecurityConfig {
  const context = message ?? LinuxContainerSecurityContext.create();
  checkSelinux(field, context.selinuxOptions, host.report);
  const { apparmor: profile, apparmorProfile: deprecated } = context;
  const apparmor = apparmorFromCri(field, profile, deprecated, host.report);
  if (context.privileged && !sandbox.privileged) {
    throw invalid(`${field}.privileged`, true, 'needs a privileged pod sandbox');
  }
  return {
    privileged: context.privileged,
    ...capabilities(`${field}.capabilities`, context.capabilities),
    ...pidMode(`${field}.namespace_options`, context.namespaceOptions, sandbox),
    ...user(field, context),
    supplementalGroups: context.supplementalGroups.map((gid, i) =>
      integer(`${field}.supplemental_groups[${i}]`, gid, 0, MAX_ID),
    ),
    supplementalGroupsPolicy: oneOf(
      `${field}.supplemental_groups_policy`,
      context.supplementalGroupsPolicy,
      POLICIES,
      SupplementalGroupsPolicy,
    ),
    readonlyRootfs: context.readonlyRootfs,
    noNewPrivs: context.noNewPrivs,
    ...procPaths(field, 'maskedPaths', context, sandbox),
    ...procPaths(field, 'readonlyPaths', context, sandbox),
    seccomp: seccompFromCri(field, context.seccomp, context.seccompProfilePath),
    ...(apparmor && { apparmor }),
  };
}

/**
 * An empty list cannot be told from an absent one on the wire. Kubelet spells the default lists
 * out; its empty ones say "procMount: Unmasked", which Kubernetes has for pods with a user
 * namespace alone, where what is masked is guarded by that. Elsewhere the defaults are the safe
 * reading.
 */
function procPaths(
  field: string,
  kind: 'maskedPaths' | 'readonlyPaths',
  context: LinuxContainerSecurityContext,
  { userNamespace }: SandboxConfig,
): SecurityConfig {
  const name = kind === 'maskedPaths' ? 'masked_paths' : 'readonly_paths';
  const paths = context[kind].map((path, i) => withoutNul(`${field}.${name}[${i}]`, path));
  return paths.length > 0 || userNamespace ? { [kind]: paths } : {};
}

function capabilities(field: string, message: Capability | undefined): SecurityConfig {
  if (!message) return {};
  const names = (list: string[], name: string) =>
    list.map((capability, i) => nonEmpty(`${field}.${name}[${i}]`, capability));
  return {
    addCapabilities: names(message.addCapabilities, 'add_capabilities'),
    dropCapabilities: names(message.dropCapabilities, 'drop_capabilities'),
    addAmbientCapabilities: names(message.addAmbientCapabilities, 'add_ambient_capabilities'),
  };
}

/**
 * Network and IPC namespaces are the pod's, whatever a container says; one that asks for the
 * host's in a pod of its own would not get what it asks for, and is refused.
 */
function pidMode(
  field: string,
  options: NamespaceOption | undefined,
  sandbox: SandboxConfig,
): SecurityConfig {
  checkContainerUserNamespace(`${field}.userns_options`, options?.usernsOptions, sandbox);
  for (const kind of ['network', 'ipc'] as const) {
    const value = options?.[kind] ?? NamespaceMode.POD;
    const mode = oneOf(`${field}.${kind}`, value, SHARED, NamespaceMode);
    if (mode === 'node' && sandbox.namespaces?.[kind] !== 'node') {
      throw invalid(`${field}.${kind}`, 'NODE', 'needs a pod sandbox in that namespace');
    }
  }
  const asked = oneOf(`${field}.pid`, options?.pid ?? NamespaceMode.POD, PID_MODES, NamespaceMode);
  const targetId = options?.targetId ?? '';
  if (asked === 'target') {
    return { pid: asked, targetId: nonEmpty(`${field}.target_id`, targetId) };
  }
  if (targetId) throw invalid(`${field}.target_id`, targetId, 'needs pid TARGET');
  return { pid: asked === 'pod' ? podPid(`${field}.pid`, sandbox) : asked };
}

/** The PID namespace that the pod's containers share, which may be the host's. */
function podPid(field: string, sandbox: SandboxConfig): Mode {
  const pod = sandbox.namespaces?.pid ?? 'container';
  if (pod === 'container') {
    throw invalid(field, 'POD', 'needs a pod sandbox with a shared PID namespace');
  }
  return pod;
}

function user(field: string, context: LinuxContainerSecurityContext): SecurityConfig {
  const { runAsUser, runAsGroup, runAsUsername } = context;
  if (runAsUser && runAsUsername) {
    throw invalid(`${field}.run_as_username`, runAsUsername, 'excludes run_as_user');
  }
  if (runAsGroup && !runAsUser && !runAsUsername) {
    throw invalid(
      `${field}.run_as_group`,
      Number(runAsGroup.value),
      'needs run_as_user or run_as_username',
    );
  }
  return {
    ...(runAsUser && { runAsUser: integer(`${field}.run_as_user`, runAsUser.value, 0, MAX_ID) }),
    ...(runAsGroup && {
      runAsGroup: integer(`${field}.run_as_group`, runAsGroup.value, 0, MAX_ID),
    }),
    ...(runAsUsername && { runAsUsername: nonEmpty(`${field}.run_as_username`, runAsUsername) }),
  };
}
