/** Seccomp profiles in JSON, as Docker (archMap) and the runtime specification (architectures). */
import * as v from 'valibot';
import { CoracleError, messageOf } from '../errors.ts';
import type { SeccompSpec } from '../native/types.ts';
import { FILTER_ARCHITECTURES } from './default-seccomp.ts';
import type { Arch, HostFacts } from './host.ts';

/** Architectures by Go's names, as a Docker profile has them in `arches`. */
const GO_ARCH: Record<Arch, string[]> = {
  x64: ['amd64', 'x32', 'x86'],
  ia32: ['x86', '386'],
  arm64: ['arm64', 'arm'],
  arm: ['arm'],
  s390x: ['s390x', 's390'],
  ppc64: ['ppc64le'],
  riscv64: ['riscv64'],
  loong64: ['loong64'],
};

const Action = v.picklist([
  'SCMP_ACT_KILL',
  'SCMP_ACT_KILL_PROCESS',
  'SCMP_ACT_KILL_THREAD',
  'SCMP_ACT_TRAP',
  'SCMP_ACT_ERRNO',
  'SCMP_ACT_TRACE',
  'SCMP_ACT_ALLOW',
  'SCMP_ACT_LOG',
]);
const Op = v.picklist([
  'SCMP_CMP_NE',
  'SCMP_CMP_LT',
  'SCMP_CMP_LE',
  'SCMP_CMP_EQ',
  'SCMP_CMP_GE',
  'SCMP_CMP_GT',
  'SCMP_CMP_MASKED_EQ',
]);
const ArchName = v.pipe(v.string(), v.regex(/^SCMP_ARCH_[A-Z0-9_]+$/));
// The kernel takes at most MAX_ERRNO (4095).
const Errno = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(4095));
const Value = v.pipe(v.number(), v.integer(), v.minValue(0));
const Strings = v.array(v.string());

const Filter = v.optional(
  v.nullable(
    v.object({
      caps: v.optional(v.nullable(Strings)),
      arches: v.optional(v.nullable(Strings)),
      minKernel: v.optional(v.pipe(v.string(), v.regex(/^\d+\.\d+/))),
    }),
  ),
);

const Syscall = v.object({
  name: v.optional(v.string()),
  names: v.optional(v.nullable(Strings)),
  action: Action,
  errnoRet: v.optional(v.nullable(Errno)),
  args: v.optional(
    v.nullable(
      v.array(
        v.object({
          index: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(5)),
          value: Value,
          valueTwo: v.optional(Value, 0),
          op: Op,
        }),
      ),
    ),
  ),
  includes: Filter,
  excludes: Filter,
});

const Profile = v.object({
  defaultAction: Action,
  defaultErrnoRet: v.optional(v.nullable(Errno)),
  architectures: v.optional(v.nullable(v.array(ArchName))),
  archMap: v.optional(
    v.nullable(
      v.array(
        v.object({
          architecture: ArchName,
          subArchitectures: v.optional(v.nullable(v.array(ArchName))),
        }),
      ),
    ),
  ),
  flags: v.optional(v.nullable(v.array(v.pipe(v.string(), v.regex(/^SECCOMP_FILTER_FLAG_/))))),
  syscalls: v.optional(v.nullable(v.array(Syscall)), []),
});

type Conditions = v.InferOutput<typeof Filter>;
type Host = Pick<HostFacts, 'arch' | 'kernel'>;

/**
 * The profile that a host file holds, filtered for this host and a container with these
 * capabilities in its bounding set.
 * Throws InvalidArgument naming the file and the field of a malformed profile.
 */
export function localhostSeccomp(
  file: { path: string; text: string },
  capabilities: readonly string[],
  host: Host,
): SeccompSpec {
  const profile = parse(file);
  const bad = (field: string, what: string) =>
    new CoracleError('InvalidArgument', `seccomp profile ${file.path}: ${field}: ${what}`);
  if (profile.architectures?.length && profile.archMap?.length) {
    throw bad('archMap', 'stands beside architectures; a profile has one of the two');
  }
  const spec: SeccompSpec = {
    defaultAction: profile.defaultAction,
    architectures: architectures(profile, host.arch),
    syscalls: [],
  };
  if (profile.defaultErrnoRet != null) spec.defaultErrnoRet = profile.defaultErrnoRet;
  if (profile.flags?.length) spec.flags = profile.flags;
  profile.syscalls?.forEach((rule, index) => {
    const names = rule.names ?? [];
    if (rule.name !== undefined && names.length > 0) {
      throw bad(`syscalls[${index}].name`, 'stands beside names; a rule has one of the two');
    }
    const all = rule.name === undefined ? names : [rule.name];
    if (all.length === 0) throw bad(`syscalls[${index}].names`, 'is empty');
    if (!applies(rule.includes, rule.excludes, capabilities, host)) return;
    const out: SeccompSpec['syscalls'][number] = { names: all, action: rule.action };
    if (rule.errnoRet != null) out.errnoRet = rule.errnoRet;
    if (rule.args?.length) {
      out.args = rule.args.map(({ index: argument, value, valueTwo, op }) => ({
        index: argument,
        value: BigInt(value),
        valueTwo: BigInt(valueTwo),
        op,
      }));
    }
    spec.syscalls.push(out);
  });
  return spec;
}

function parse(file: { path: string; text: string }): v.InferOutput<typeof Profile> {
  let json: unknown;
  try {
    json = JSON.parse(file.text);
  } catch (error) {
    throw new CoracleError(
      'InvalidArgument',
      `seccomp profile ${file.path}: is not JSON: ${messageOf(error)}`,
      { cause: error },
    );
  }
  const result = v.safeParse(Profile, json);
  if (result.success) return result.output;
  const issue = result.issues[0];
  const field = v.getDotPath(issue) ?? 'profile';
  throw new CoracleError(
    'InvalidArgument',
    `seccomp profile ${file.path}: ${field}: ${issue.message}`,
  );
}

/** An archMap names for each native architecture those that are filtered with it. */
function architectures(profile: v.InferOutput<typeof Profile>, arch: Arch): string[] {
  const own = FILTER_ARCHITECTURES[arch][0] as string;
  if (profile.archMap?.length) {
    const entry = profile.archMap.find(({ architecture }) => architecture === own);
    return [own, ...(entry?.subArchitectures ?? [])];
  }
  return profile.architectures?.length ? profile.architectures : [own];
}

/** All of `includes` must hold and nothing of `excludes`. */
function applies(
  includes: Conditions,
  excludes: Conditions,
  capabilities: readonly string[],
  host: Host,
): boolean {
  const arches = GO_ARCH[host.arch];
  const has = (name: string) => capabilities.includes(name);
  const ours = (name: string) => arches.includes(name);
  if (excludes?.arches?.length && excludes.arches.some(ours)) return false;
  if (excludes?.caps?.length && excludes.caps.some(has)) return false;
  if (excludes?.minKernel && atLeast(host.kernel, excludes.minKernel)) return false;
  if (includes?.arches?.length && !includes.arches.some(ours)) return false;
  if (includes?.caps?.length && !includes.caps.every(has)) return false;
  if (includes?.minKernel && !atLeast(host.kernel, includes.minKernel)) return false;
  return true;
}

function atLeast([major, minor]: HostFacts['kernel'], wanted: string): boolean {
  const [wantedMajor = 0, wantedMinor = 0] = wanted.split('.').map(Number);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}
