/** The one place where errors become gRPC statuses. */
import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { CoracleError, type ErrorKind, isExhausted, messageOf } from '../errors.ts';

const CODES: Readonly<Record<ErrorKind, status>> = {
  InvalidArgument: status.INVALID_ARGUMENT,
  NotFound: status.NOT_FOUND,
  AlreadyExists: status.ALREADY_EXISTS,
  FailedPrecondition: status.FAILED_PRECONDITION,
  DeadlineExceeded: status.DEADLINE_EXCEEDED,
  Cancelled: status.CANCELLED,
  ResourceExhausted: status.RESOURCE_EXHAUSTED,
  Unavailable: status.UNAVAILABLE,
  Unimplemented: status.UNIMPLEMENTED,
  DataLoss: status.DATA_LOSS,
  Internal: status.INTERNAL,
};

/**
 * Longest status message, in characters, as it is and percent-encoded. It travels encoded in an
 * HTTP/2 header, and clients limit the size of those: a longer one would break the call instead of
 * explaining it.
 */
const MAX_DETAILS = 4096;
const MAX_ENCODED = 6144;

/** A gRPC status as grpc-js wants it from a handler. */
export function toServiceError(error: unknown): ServiceError {
  const code = codeOf(error);
  const details = shorten(detailsOf(error));
  return Object.assign(new Error(details, { cause: error }), {
    code,
    details,
    metadata: new Metadata(),
  });
}

/** Whether the fault is the runtime's own: those are logged with their stack. */
export function isOwnFault(error: unknown): boolean {
  const code = codeOf(error);
  return code === status.INTERNAL || code === status.DATA_LOSS;
}

export function codeOf(error: unknown): status {
  if (error instanceof CoracleError) return CODES[error.kind];
  if (!(error instanceof Error)) return status.INTERNAL;
  if (error.name === 'AbortError') return status.CANCELLED;
  if (error.name === 'TimeoutError') return status.DEADLINE_EXCEEDED;
  const { code } = error as NodeJS.ErrnoException;
  return isExhausted(code) ? status.RESOURCE_EXHAUSTED : status.INTERNAL;
}

/**
 * Kubelet knows some pull errors by how their message begins ("RegistryUnavailable", cri-api
 * pkg/errors), so a reason leads the message.
 */
function detailsOf(error: unknown): string {
  const message = messageOf(error);
  const reason = error instanceof CoracleError ? error.reason : undefined;
  return reason === undefined || message.startsWith(reason) ? message : `${reason}: ${message}`;
}

/** Half a surrogate pair would make grpc-js throw when it encodes the message. */
const LONE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

function shorten(text: string): string {
  let short = text.slice(0, MAX_DETAILS + 1).replace(LONE, '\ufffd');
  for (let length = MAX_DETAILS; ; ) {
    if (short.length > length) short = `${short.slice(0, length - 1).replace(LONE, '')}…`;
    const excess = encodeURI(short).length - MAX_ENCODED;
    if (excess <= 0) return short;
    // A character takes nine of the encoded ones at most.
    length = short.length - Math.ceil(excess / 9);
  }
}
