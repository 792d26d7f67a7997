/** How a remote command ended, as the versions of the protocol tell it on the error stream. */

/** Version of the remote command protocol, "v4.channel.k8s.io". */
export type CommandVersion = 1 | 2 | 3 | 4 | 5;

export type CommandOutcome =
  | { kind: 'exited'; exitCode: number }
  /** It did not start, or what became of it is unknown. */
  | { kind: 'failed'; message: string };

/** Terminals can be resized from version 3 on. */
export const hasResize = (version: CommandVersion) => version >= 3;

/**
 * What is written to the error stream. Up to version 3: text, and nothing for success. From version
 * 4 on: a `Status` of Kubernetes' API as JSON, always, with the exit code among its causes.
 */
export function commandStatus(outcome: CommandOutcome, version: CommandVersion): string {
  if (version >= 4) return JSON.stringify(statusObject(outcome));
  if (outcome.kind === 'failed') return outcome.message;
  return outcome.exitCode === 0 ? '' : nonZero(outcome.exitCode);
}

function statusObject(outcome: CommandOutcome): object {
  if (outcome.kind === 'failed') {
    const { message } = outcome;
    const details = { causes: [{ message }] };
    return {
      metadata: {},
      status: 'Failure',
      message,
      reason: 'InternalError',
      details,
      code: 500,
    };
  }
  const { exitCode } = outcome;
  if (exitCode === 0) return { metadata: {}, status: 'Success' };
  return {
    metadata: {},
    status: 'Failure',
    message: nonZero(exitCode),
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: String(exitCode) }] },
  };
}

function nonZero(exitCode: number): string {
  return `command terminated with non-zero exit code: exit status ${exitCode}`;
}
