import { access, constants, readFile } from 'node:fs/promises';
import { CoracleError, messageOf } from '../errors.ts';
import type { ContainerConfig } from '../spec/config.ts';
import { DEFAULT_APPARMOR, defaultAppArmorProfile } from '../spec/default-apparmor.ts';
import type { RuntimeContext } from './context.ts';
import { hostHas } from './doctor.ts';

const PROFILES = '/sys/kernel/security/apparmor/profiles';
const PARSERS = ['/usr/sbin/apparmor_parser', '/sbin/apparmor_parser', '/usr/bin/apparmor_parser'];
const PARSER_TIMEOUT_MS = 30_000;

/**
 * The name of the loaded profile that confines a container; undefined for none. The default one
 * is loaded where it is not there yet; who does not ask for it by name does without it where that
 * cannot be done. Throws FailedPrecondition for a profile that there is not.
 */
export async function apparmorProfileFor(
  ctx: RuntimeContext,
  config: ContainerConfig,
): Promise<string | undefined> {
  const { apparmor: asked, privileged = false } = config.security ?? {};
  if (asked?.type === 'unconfined') return undefined;
  const on = hostHas(ctx.host, 'apparmor');
  if (asked?.type === 'localhost') {
    if (!on) throw refused(`the host has no AppArmor for the profile ${asked.name}`);
    if ((await isLoaded(asked.name)) === false) throw refused(`${asked.name} is not loaded`);
    return asked.name;
  }
  if (!on || privileged) return undefined;
  const failure = await loadDefault(ctx);
  if (failure === '') return DEFAULT_APPARMOR;
  if (asked) throw refused(failure);
  ctx.log.warn({ container: config.name, failure }, 'a container runs without AppArmor');
  return undefined;
}

function refused(what: string): CoracleError {
  return new CoracleError('FailedPrecondition', `security.apparmor: ${what}`);
}

/** '' or why the default profile cannot be had. */
async function loadDefault(ctx: RuntimeContext): Promise<string> {
  if (await isLoaded(DEFAULT_APPARMOR)) return '';
  const file = await findParser();
  if (!file) return 'apparmor_parser (Debian package apparmor) is not installed';
  try {
    const { exitCode, timedOut, stderr } = await ctx.addon.spawn({
      file,
      argv: ['apparmor_parser', '--replace', '--skip-cache'],
      env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL=C'],
      stdin: defaultAppArmorProfile(),
      timeoutMs: PARSER_TIMEOUT_MS,
    });
    if (exitCode === 0 && !timedOut) return '';
    return `apparmor_parser: ${timedOut ? 'timed out' : stderr.trim() || `exit code ${exitCode}`}`;
  } catch (error) {
    return `apparmor_parser: ${messageOf(error)}`;
  }
}

/** Undefined where the kernel's list cannot be read: then only the start can tell. */
async function isLoaded(profile: string): Promise<boolean | undefined> {
  const list = await readFile(PROFILES, 'utf8').catch(() => undefined);
  return list?.split('\n').some((line) => line.replace(/ \([a-z]+\)$/, '') === profile);
}

async function findParser(): Promise<string | undefined> {
  for (const path of PARSERS) {
    const found = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return path;
  }
  return undefined;
}
