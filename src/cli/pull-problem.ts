import { CoracleError, messageOf } from '../errors.ts';

/** What is wrong with a pull, and what may help. */
export interface PullProblem {
  message: string;
  hint: string | undefined;
}

export function explainPull(error: unknown, hadCredentials: boolean): PullProblem {
  const { kind, reason } =
    error instanceof CoracleError ? error : { kind: undefined, reason: undefined };
  const named = reason === undefined ? '' : ` (${reason})`;
  return { message: `${messageOf(error)}${named}`, hint: hintFor(kind, reason, hadCredentials) };
}

function hintFor(
  kind: CoracleError['kind'] | undefined,
  reason: string | undefined,
  hadCredentials: boolean,
): string | undefined {
  switch (reason) {
    case 'AuthorizationFailed':
      return hadCredentials
        ? 'the registry refuses this user, password or repository'
        : 'give credentials with --creds, --creds-stdin or CORACLE_CREDS';
    case 'RegistryUnavailable':
      return "mirrors, certificates and http instead of https are set in the registry's hosts.toml";
    case 'RegistryUntrusted':
      return "the registry's hosts.toml says whom to trust, and whether it speaks plain http";
    case 'DiskFull':
      return 'free some space: "coracle rmi" removes images';
  }
  if (kind === 'NotFound') return 'check the name and the tag or digest';
  return undefined;
}
