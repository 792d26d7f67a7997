/** The RuntimeDefault seccomp profile. */
import type { SeccompSpec } from '../native/types.ts';
import type { Arch } from './host.ts';
import {
  ABSENT,
  ALLOWED,
  BY_ARCH,
  BY_CAPABILITY,
  CLONE_NAMESPACES,
  PERSONALITIES,
  REFUSED_SOCKET_DOMAINS,
} from './seccomp-table.ts';

type Rule = SeccompSpec['syscalls'][number];
type Arg = NonNullable<Rule['args']>[number];

const EPERM = 1;
const ENOSYS = 38;

/** The filter's architectures: the host's own first, then those whose programs it runs, too. */
export const FILTER_ARCHITECTURES: Readonly<Record<Arch, readonly string[]>> = {
  x64: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
  ia32: ['SCMP_ARCH_X86'],
  arm64: ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'],
  arm: ['SCMP_ARCH_ARM'],
  s390x: ['SCMP_ARCH_S390X', 'SCMP_ARCH_S390'],
  ppc64: ['SCMP_ARCH_PPC64LE'],
  riscv64: ['SCMP_ARCH_RISCV64'],
  loong64: ['SCMP_ARCH_LOONGARCH64'],
};

/** By architecture and by the capabilities that matter: containers share what is the same. */
const made = new Map<string, SeccompSpec>();

/**
 * The profile for a container with these capabilities ("CAP_SYS_ADMIN") in its bounding set; the
 * same object for the same profile, which nobody may change.
 * What it does not allow fails with EPERM; clone3(2) without CAP_SYS_ADMIN with ENOSYS, since its
 * flags lie in memory where no filter can see them and C libraries then turn to clone(2).
 */
export function defaultSeccomp(capabilities: readonly string[], arch: Arch): SeccompSpec {
  const relevant = capabilities.filter((name) => BY_CAPABILITY[name] !== undefined).sort();
  const key = [arch, ...relevant].join(' ');
  let profile = made.get(key);
  if (profile === undefined) {
    profile = makeProfile(relevant, arch);
    made.set(key, profile);
  }
  return profile;
}

function makeProfile(capabilities: readonly string[], arch: Arch): SeccompSpec {
  const syscalls: Rule[] = [allow(ALLOWED)];
  for (const domain of socketRules()) syscalls.push(domain);
  for (const value of PERSONALITIES) {
    syscalls.push(allow(['personality'], [{ index: 0, value, valueTwo: 0n, op: 'SCMP_CMP_EQ' }]));
  }
  const own = BY_ARCH[arch];
  if (own !== undefined) syscalls.push(allow(own));
  const extra = new Set(capabilities.flatMap((name) => BY_CAPABILITY[name] ?? []));
  if (extra.size > 0) syscalls.push(allow([...extra]));
  if (!extra.has('clone')) {
    // s390 passes the stack first and the flags second.
    const index = arch === 's390x' ? 1 : 0;
    syscalls.push(
      allow(
        ['clone'],
        [{ index, value: CLONE_NAMESPACES, valueTwo: 0n, op: 'SCMP_CMP_MASKED_EQ' }],
      ),
      { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS },
    );
  }
  syscalls.push({ names: [...ABSENT], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS });
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: EPERM,
    architectures: [...FILTER_ARCHITECTURES[arch]],
    syscalls,
  };
}

/** socket(2) for every domain but the refused ones: the ranges that these leave. */
function socketRules(): Rule[] {
  const refused = [...REFUSED_SOCKET_DOMAINS];
  const rules: Rule[] = [];
  let next = 0n;
  for (const domain of refused) {
    if (next === 0n) rules.push(allow(['socket'], [below(domain)]));
    else for (let d = next; d < domain; d++) rules.push(allow(['socket'], [equal(d)]));
    next = domain + 1n;
  }
  rules.push(allow(['socket'], [{ index: 0, value: next - 1n, valueTwo: 0n, op: 'SCMP_CMP_GT' }]));
  return rules;
}

function below(value: bigint): Arg {
  return { index: 0, value, valueTwo: 0n, op: 'SCMP_CMP_LT' };
}

function equal(value: bigint): Arg {
  return { index: 0, value, valueTwo: 0n, op: 'SCMP_CMP_EQ' };
}

function allow(names: readonly string[], args?: Arg[]): Rule {
  const rule: Rule = { names: [...names], action: 'SCMP_ACT_ALLOW' };
  if (args !== undefined) rule.args = args;
  return rule;
}
