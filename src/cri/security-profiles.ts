/** Seccomp, AppArmor and SELinux settings, which pods and containers write in the same way. */
import { invalid } from '../errors.ts';
import type { HostReport } from '../runtime/doctor.ts';
import { hostHas } from '../runtime/doctor.ts';
import type { AppArmorProfile, SeccompProfile } from '../spec/config.ts';
import { absolutePath, nonEmpty, oneOf, unsupported } from './fields.ts';
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
 * The AppArmor profile of the message or, where that is unset, of the deprecated name. Neither
 * leaves it to the runtime: the default profile where the host has AppArmor (`SecurityConfig`).
 */
export function apparmorFromCri(
  field: string,
  profile: SecurityProfile | undefined,
  deprecated: string,
  host: HostReport,
): AppArmorProfile | undefined {
  const found = profile
    ? apparmorFromProfile(`${field}.apparmor`, profile)
    : apparmorFromName(`${field}.apparmor_profile`, deprecated);
  const on = hostHas(host, 'apparmor');
  if (found?.type === 'localhost' && !on) {
    throw unsupported(`${field}.apparmor`, 'AppArmor profiles are, as the host has no AppArmor,');
  }
  return found;
}

function apparmorFromProfile(field: string, profile: SecurityProfile): AppArmorProfile {
  const type = checkedType(field, profile);
  if (type === Type.RuntimeDefault) return { type: 'runtimeDefault' };
  if (type === Type.Unconfined) return { type: 'unconfined' };
  return { type: 'localhost', name: localName(`${field}.localhost_ref`, profile.localhostRef) };
}

function apparmorFromName(field: string, name: string): AppArmorProfile | undefined {
  if (name === '') return undefined;
  if (name === 'runtime/default') return { type: 'runtimeDefault' };
  if (name === 'unconfined') return { type: 'unconfined' };
  const local = /^localhost\/(.*)$/s.exec(name)?.[1];
  if (local !== undefined) return { type: 'localhost', name: localName(field, local) };
  throw invalid(field, name, 'must be "unconfined", "runtime/default" or "localhost/<name>"');
}

/** A profile's name; kubelet says "localhost/" before it in both fields. */
function localName(field: string, name: string): string {
  return nonEmpty(field, name.replace(/^localhost\//, ''));
}

/**
 * Labels are refused on a host with SELinux. Without it they mean nothing, as for every other
 * process of that host.
 */
export function checkSelinux(
  field: string,
  options: SELinuxOption | undefined,
  host: HostReport,
): void {
  if (!options || !hostHas(host, 'selinux')) return;
  if ([options.user, options.role, options.type, options.level].some(Boolean)) {
    throw unsupported(`${field}.selinux_options`, 'SELinux labels are');
  }
}

function checkedType(field: string, profile: SecurityProfile): Type {
  oneOf(`${field}.profile_type`, profile.profileType, TYPES, Type);
  return profile.profileType;
}
