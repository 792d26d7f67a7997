/** The steps that turn the child into the container's process: the same for init and an exec. */
import { CoracleError } from '../../errors.ts';
import type { Step } from '../../native/types.ts';
import { capabilityMask } from '../../spec/capabilities.ts';
import type { Process, ProcessUser, Spec } from '../../spec/oci.ts';
import { RLIMIT_NAMES } from '../../spec/process.ts';
import { RLIM_INFINITY, SECCOMP_FILTER_FLAGS } from './constants.ts';

const DEFAULT_UMASK = 0o022;

export interface ProcessPlan {
  process: Process;
  seccomp: Spec['linux']['seccomp'];
  /** The compiled `seccomp`. */
  seccompProgram: Uint8Array | undefined;
  /** Namespaces to be made in the pod's user namespace; absent: the pod has none. */
  userNamespace?: { flags: number } | undefined;
}

/**
 * The order is what makes these right:
 *  - limits while the child may still raise them, and after everything that they could hinder;
 *  - the user namespace after those, since only the host's root may raise a limit or lower
 *    oom_score_adj, and before the user, whose ids are those of the namespace;
 *  - the working directory is entered as the user it is for, who may be let in where root is not
 *    (NFS), but still with all capabilities, as with other runtimes;
 *  - without no_new_privs, loading a filter takes CAP_SYS_ADMIN, which the program does not keep:
 *    such a filter has to allow setting capabilities and execve;
 *  - with no_new_privs it takes nothing, so the filter comes last and sees only execve.
 */
export function processSteps(plan: ProcessPlan): Step[] {
  const { process } = plan;
  const filter = seccompSteps(plan);
  const late = process.noNewPrivileges;
  return [
    { op: 'oomScoreAdj', value: process.oomScoreAdj },
    ...apparmorSteps(process),
    { op: 'umask', mask: DEFAULT_UMASK },
    ...process.rlimits.map(rlimitStep),
    ...(plan.userNamespace ? [{ op: 'joinUserNamespace', ...plan.userNamespace } as const] : []),
    userStep(process.user),
    { op: 'cwd', path: process.cwd, create: false },
    ...(late ? [] : filter),
    capabilitiesStep(process),
    ...(late ? [{ op: 'noNewPrivs' } as const, ...filter] : []),
    { op: 'execve', argv: process.args, env: process.env },
  ];
}

function seccompSteps({ seccomp, seccompProgram }: ProcessPlan): Step[] {
  if (seccomp === undefined) return [];
  if (seccompProgram === undefined) {
    throw new CoracleError('Internal', 'the seccomp profile of the container is not compiled');
  }
  // Without the flag, kernels before 5.16 turn on the store-bypass mitigation for every filtered
  // process, at a cost in speed; a profile that names flags decides itself.
  const names = seccomp.flags ?? ['SECCOMP_FILTER_FLAG_SPEC_ALLOW'];
  let flags = 0;
  for (const name of names) {
    const flag = SECCOMP_FILTER_FLAGS[name];
    if (flag === undefined) {
      throw new CoracleError('InvalidArgument', `seccomp profile: flags: ${name} is not known`);
    }
    flags |= flag;
  }
  return [{ op: 'seccomp', program: seccompProgram, flags }];
}

/** Before no_new_privs, under which AppArmor takes no profile that allows more. */
function apparmorSteps({ apparmorProfile }: Process): Step[] {
  if (apparmorProfile === undefined) return [];
  return [{ op: 'lsmProfile', module: 'apparmor', value: `exec ${apparmorProfile}` }];
}

function rlimitStep({ type, soft, hard }: Process['rlimits'][number]): Step {
  const resource = RLIMIT_NAMES.indexOf(type);
  if (resource < 0) {
    throw new CoracleError('InvalidArgument', `process.rlimits: ${type} is not known`);
  }
  return { op: 'rlimit', resource, soft: rlimitValue(soft), hard: rlimitValue(hard), clamp: true };
}

/** Above 2^53 a JSON number means "no limit": nothing has as many of anything. */
function rlimitValue(value: number): bigint {
  return Number.isSafeInteger(value) && value >= 0 ? BigInt(value) : RLIM_INFINITY;
}

function userStep(user: ProcessUser): Step {
  return {
    op: 'user',
    user: user.username,
    group: user.groupname,
    mergeGroups: user.mergeGroups,
    extraGroups: user.additionalGids,
  };
}

function capabilitiesStep({ capabilities }: Process): Step {
  return {
    op: 'capabilities',
    bounding: capabilityMask(capabilities.bounding),
    effective: capabilityMask(capabilities.effective),
    permitted: capabilityMask(capabilities.permitted),
    inheritable: capabilityMask(capabilities.inheritable),
    ambient: capabilityMask(capabilities.ambient),
  };
}
