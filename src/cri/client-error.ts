/** The way back from a gRPC status to the error that the server had. */
import { type ServiceError, status } from '@grpc/grpc-js';
import { CoracleError, type ErrorKind } from '../errors.ts';

const KINDS: Partial<Record<status, ErrorKind>> = {
  [status.INVALID_ARGUMENT]: 'InvalidArgument',
  [status.NOT_FOUND]: 'NotFound',
  [status.ALREADY_EXISTS]: 'AlreadyExists',
  [status.FAILED_PRECONDITION]: 'FailedPrecondition',
  [status.DEADLINE_EXCEEDED]: 'DeadlineExceeded',
  [status.CANCELLED]: 'Cancelled',
  [status.RESOURCE_EXHAUSTED]: 'ResourceExhausted',
  [status.UNAVAILABLE]: 'Unavailable',
  [status.UNIMPLEMENTED]: 'Unimplemented',
  [status.DATA_LOSS]: 'DataLoss',
};

/** A reason leads the message: at least two words in one, "RegistryUnavailable: …". */
const REASON = /^((?:[A-Z][a-z]+){2,}): (.*)$/s;

/** The server's own words, without gRPC's numbers around them; other errors as they are. */
export function fromServiceError(error: unknown): unknown {
  const { code, details } = error as Partial<ServiceError>;
  if (typeof code !== 'number' || !details) return error;
  const [, reason, message] = REASON.exec(details) ?? [];
  return new CoracleError(KINDS[code] ?? 'Internal', message ?? details, {
    cause: error,
    ...(reason !== undefined && { reason }),
  });
}
