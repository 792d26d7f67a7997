import { invalid } from '../errors.ts';
import { type HostReport, hostHas } from './doctor.ts';
import { hasUserNamespaces } from './user-namespace-check.ts';

/**
 * One way to run pods, which a pod names by `runtime_handler` and keeps for its life. What a
 * handler does differently belongs to where it is done; here is what clients are told of it.
 */
export interface RuntimeHandler {
  /** As in a RuntimeClass. */
  readonly name: string;
  /** On this host. */
  features(host: HostReport): RuntimeHandlerFeatures;
}

export interface RuntimeHandlerFeatures {
  /** Mounts below a read-only mount are read-only, too, where that is asked for. */
  readonly recursiveReadOnlyMounts: boolean;
  readonly userNamespaces: boolean;
}

/** A pod's processes are the host kernel's own: namespaces, cgroups, one monitor a pod. */
const NATIVE: RuntimeHandler = {
  name: 'native',
  features: (host) => ({
    recursiveReadOnlyMounts: hostHas(host, 'mount_setattr'),
    userNamespaces: hasUserNamespaces(host),
  }),
};

/** Every handler by each of its names; the empty one is the default's. */
export const RUNTIME_HANDLERS: readonly RuntimeHandler[] = [{ ...NATIVE, name: '' }, NATIVE];

/** Returns the name; throws InvalidArgument naming `field` for a handler that there is not. */
export function checkRuntimeHandler(field: string, name: string): string {
  const names = RUNTIME_HANDLERS.map((handler) => handler.name);
  if (!names.includes(name)) {
    const have = names.map((each) => JSON.stringify(each)).join(', ');
    throw invalid(field, name, `is no runtime handler that is configured (have ${have})`);
  }
  return name;
}
