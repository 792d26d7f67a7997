/** The process of a container: what runs, as whom, with which environment, where. */
import { CoracleError, invalid } from '../errors.ts';
import type { ContainerConfig, ImageConfig, SecurityConfig } from './config.ts';
import type { ProcessUser, Rlimit } from './oci.ts';
import { normalizePath } from './paths.ts';

export const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * The arguments: `command` stands for the image's entrypoint and `args` for its cmd. A command
 * of one's own leaves the image's cmd out, since that was written for the image's entrypoint.
 * Throws InvalidArgument where nothing is left to run.
 */
export function processArgs(config: ContainerConfig, image: ImageConfig): string[] {
  let command = config.command ?? [];
  let args = config.args ?? [];
  if (command.length === 0) {
    if (args.length === 0) args = image.cmd;
    // [""] is how an image says that it has no entrypoint.
    const none = image.entrypoint.length === 1 && image.entrypoint[0] === '';
    command = none ? [] : image.entrypoint;
  }
  const argv = [...command, ...args];
  if (argv.length === 0) {
    throw invalid('command', argv, 'and args are empty and the image names no entrypoint or cmd');
  }
  for (const [index, value] of argv.entries()) rejectNul(value, `command[${index}]`);
  return argv;
}

/** "NAME=value" entries in which the last value of a name wins and the first keeps its place. */
export function processEnv(
  config: Pick<ContainerConfig, 'env' | 'tty'>,
  image: Pick<ImageConfig, 'env'>,
  hostname: string,
): string[] {
  const env = new Map<string, string>([['PATH', DEFAULT_PATH]]);
  if (config.tty) env.set('TERM', 'xterm');
  env.set('HOSTNAME', hostname);
  for (const entry of image.env) {
    const equals = entry.indexOf('=');
    // An entry without "=" is kept as a name without a value, as Docker writes it.
    if (equals < 0) env.set(entry, '');
    else env.set(entry.slice(0, equals), entry.slice(equals + 1));
  }
  config.env?.forEach(([name, value], index) => {
    if (name === '' || name.includes('=')) {
      throw invalid(`env[${index}]`, name, 'is not a name of an environment variable');
    }
    rejectNul(name, `env[${index}]`);
    rejectNul(value, `env[${index}]`);
    env.set(name, value);
  });
  return [...env].map(([name, value]) => `${name}=${value}`);
}

/** The working directory; an image's relative one starts at the root, as Docker has it. */
export function processCwd(
  config: Pick<ContainerConfig, 'workingDir'>,
  image: ImageConfig,
): string {
  const own = config.workingDir ?? '';
  if (own !== '' && !own.startsWith('/')) {
    throw invalid('workingDir', own, 'is not an absolute path');
  }
  rejectNul(own, 'workingDir');
  return normalizePath(own || image.workingDir);
}

/**
 * Who the process is. A user of the configuration replaces the image's USER as a whole, its
 * group included; a name goes before a number. Throws InvalidArgument for a group without a
 * user, and for an id that is none.
 */
export function processUser(
  security: SecurityConfig,
  image: Pick<ImageConfig, 'user'>,
): ProcessUser {
  checkId(security.runAsUser, 'security.runAsUser');
  checkId(security.runAsGroup, 'security.runAsGroup');
  for (const [index, gid] of (security.supplementalGroups ?? []).entries()) {
    checkId(gid, `security.supplementalGroups[${index}]`);
  }
  let username = security.runAsUsername || (security.runAsUser?.toString() ?? '');
  let groupname = security.runAsGroup?.toString() ?? '';
  if (username === '') {
    if (groupname !== '') {
      throw invalid('security.runAsGroup', security.runAsGroup, 'needs runAsUser or runAsUsername');
    }
    const colon = image.user.indexOf(':');
    username = colon < 0 ? image.user : image.user.slice(0, colon);
    groupname = colon < 0 ? '' : image.user.slice(colon + 1);
  }
  return {
    uid: numeric(username),
    gid: numeric(groupname),
    additionalGids: [...new Set(security.supplementalGroups ?? [])],
    username,
    groupname,
    mergeGroups: security.supplementalGroupsPolicy !== 'strict',
  };
}

/** The container's own limits, then those of the host's defaults that it leaves open. */
export function processRlimits(
  config: Pick<ContainerConfig, 'rlimits'>,
  defaults: Rlimit[],
): Rlimit[] {
  const limits = new Map<string, Rlimit>();
  for (const limit of defaults) limits.set(limit.type, limit);
  config.rlimits?.forEach((limit, index) => {
    const type = limit.type.toUpperCase();
    const full = type.startsWith('RLIMIT_') ? type : `RLIMIT_${type}`;
    if (!RLIMIT_NAMES.includes(full)) {
      throw invalid(`rlimits[${index}].type`, limit.type, 'is not a limit of getrlimit(2)');
    }
    const unlimited = (value: number) => (value < 0 ? Number.POSITIVE_INFINITY : value);
    if (unlimited(limit.soft) > unlimited(limit.hard)) {
      throw invalid(`rlimits[${index}].soft`, limit.soft, `is above the hard limit ${limit.hard}`);
    }
    limits.set(full, { type: full, soft: limit.soft, hard: limit.hard });
  });
  return [...limits.values()];
}

/** In the order of their numbers (asm-generic/resource.h). */
export const RLIMIT_NAMES: readonly string[] = [
  'CPU',
  'FSIZE',
  'DATA',
  'STACK',
  'CORE',
  'RSS',
  'NPROC',
  'NOFILE',
  'MEMLOCK',
  'AS',
  'LOCKS',
  'SIGPENDING',
  'MSGQUEUE',
  'NICE',
  'RTPRIO',
  'RTTIME',
].map((name) => `RLIMIT_${name}`);

function numeric(name: string): number {
  return /^\d+$/.test(name) ? Number(name) : 0;
}

function checkId(id: number | undefined, field: string): void {
  // 2^32 − 1 means "no change" to setresuid(2).
  if (id !== undefined && (!Number.isInteger(id) || id < 0 || id >= 0xffff_ffff)) {
    throw invalid(field, id, 'is not an id: 0–4294967294');
  }
}

function rejectNul(text: string, field: string): void {
  if (text.includes('\0')) {
    throw new CoracleError('InvalidArgument', `${field}: contains a NUL byte`);
  }
}
