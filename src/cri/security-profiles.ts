/** Seccomp, AppArmor and SELinux settings, which pods and containers write in the same way. */
import { invalid } from '../errors.ts';
import type { HostReport } from '../runtime/doctor.ts';
import { hostHas } from '../runtime/doctor.ts';
import type { SeccompProfile } from '../spec/config.ts';
import { absolutePath, oneOf, unsupported } from './fields.ts';
import type { SELinuxOption } from './gen/cri.ts';
import { type SecurityProfile, SecurityProfile_ProfileType as Type } from './gen/cri.ts';

const TYPES = { [Type.RuntimeDefault]: 0, [Type.Unconfined]: 1, [Type.Localhost]: 2 };

/**
 * The seccomp profile of the message or, where that is unset, of the deprecated path. Neither
 * means unconfined: kubelet always says what it wants.
 */
export function seccompFromCri(
  field: string,
  profile: SecurityProfile | undefined,
  deprecatedPath: string,
): SeccompProfile {
  if (!profile) return seccompFromPath(`${field}.seccomp_profile_path`, deprecatedPath);
  const type = checkedType(`${field}.seccomp`, profile);
  if (type === Type.RuntimeDefault) return { type: 'runtimeDefault' };
  if (type === Type.Unconfined) return { type: 'unconfined' };
  return {
    type: 'localhost',
    path: absolutePath(`${field}.seccomp.localhost_ref`, profile.localhostRef),
  };
}

function seccompFromPath(field: string, path: string): SeccompProfile {
  if (path === '' || path === 'unconfined') return { type: 'unconfined' };
  if (path === 'runtime/default' || path === 'docker/default') return { type: 'runtimeDefault' };
  const local = /^localhost\/(.+)$/.exec(path)?.[1];
  if (local !== undefined) return { type: 'localhost', path: absolutePath(field, local) };
  throw invalid(field, path, 'must be "unconfined", "runtime/default" or "localhost/<path>"');
}

/**
 * Accepts the profiles that need nothing done: unconfined, and the default where the host has no
 * AppArmor. Everything else would be a confinement that is asked for and not given.
 */
export function checkAppArmor(
  field: string,
  profile: SecurityProfile | undefined,
  deprecated: string,
  host: HostReport,
): void {
  if (profile) {
    const type = checkedType(`${field}.apparmor`, profile);
    if (type === Type.Unconfined) return;
    if (type === Type.RuntimeDefault && !hostHas(host, 'apparmor')) return;
    throw unsupported(`${field}.apparmor`, 'AppArmor profiles are');
  }
  if (deprecated === '' || deprecated === 'unconfined') return;
  if (deprecated === 'runtime/default' && !hostHas(host, 'apparmor')) return;
  throw unsupported(`${field}.apparmor_profile`, 'AppArmor profiles are');
}

/** Labels are refused, unless the message is there and says nothing. */
export function checkSelinux(field: string, options: SELinuxOption | undefined): void {
  if (options && [options.user, options.role, options.type, options.level].some(Boolean)) {
    throw unsupported(`${field}.selinux_options`, 'SELinux labels are');
  }
}

function checkedType(field: string, profile: SecurityProfile): Type {
  oneOf(`${field}.profile_type`, profile.profileType, TYPES, Type);
  return profile.profileType;
}
