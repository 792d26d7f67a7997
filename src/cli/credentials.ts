import { text } from 'node:stream/consumers';
import { CoracleError } from '../errors.ts';
import type { RegistryAuth } from '../image/auth.ts';

export interface CredentialFlags {
  creds?: string;
  credsStdin?: boolean;
}

/** Where a command finds credentials that are not on its command line. */
export const CREDENTIALS_VARIABLE = 'CORACLE_CREDS';

/**
 * A registry's credentials as "user:password": from a flag, standard input or the environment, in
 * this order. Undefined where there are none; InvalidArgument, without the secret, for others.
 */
export async function findCredentials(
  flags: CredentialFlags,
  input: NodeJS.ReadableStream,
  env: NodeJS.ProcessEnv,
): Promise<RegistryAuth | undefined> {
  if (flags.creds !== undefined && flags.credsStdin) {
    throw new CoracleError('InvalidArgument', '--creds and --creds-stdin exclude each other');
  }
  if (flags.creds !== undefined) return parseCredentials('--creds', flags.creds);
  if (flags.credsStdin) {
    return parseCredentials('--creds-stdin', (await text(input)).replace(/\r?\n$/, ''));
  }
  const variable = env[CREDENTIALS_VARIABLE];
  return variable ? parseCredentials(CREDENTIALS_VARIABLE, variable) : undefined;
}

/** The password is all after the first colon: it may have colons of its own. */
export function parseCredentials(from: string, credentials: string): RegistryAuth {
  const colon = credentials.indexOf(':');
  if (colon <= 0) throw new CoracleError('InvalidArgument', `${from}: is not user:password`);
  return { username: credentials.slice(0, colon), password: credentials.slice(colon + 1) };
}
