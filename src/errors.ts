/**
 * The error catalogue. Every error that a caller can meet is a CoracleError with one of these
 * kinds; `cri/` alone maps kinds to gRPC codes.
 */
export type ErrorKind =
  | 'InvalidArgument'
  | 'NotFound'
  | 'AlreadyExists'
  | 'FailedPrecondition'
  | 'DeadlineExceeded'
  | 'Cancelled'
  | 'ResourceExhausted'
  | 'Unavailable'
  | 'Unimplemented'
  | 'DataLoss'
  | 'Internal';

export class CoracleError extends Error {
  override readonly name = 'CoracleError';
  readonly kind: ErrorKind;
  /** A machine-readable CamelCase reason where the field has one: "RegistryUnavailable". */
  readonly reason: string | undefined;

  constructor(kind: ErrorKind, message: string, options?: { cause?: unknown; reason?: string }) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
    this.reason = options?.reason;
  }
}

/** Characters of a value that a message shows: what is said of it must not be lost behind it. */
const SHOWN = 512;

/** Whatever somebody has given, as a message shows it: as JSON, and only the beginning of it. */
export function quote(value: unknown): string {
  const text = json(value) ?? String(value);
  if (text.length <= SHOWN) return text;
  // Half a surrogate pair is no text, and encoders throw on it.
  return `${text.slice(0, SHOWN).replace(/[\ud800-\udbff]$/, '')}…`;
}

function json(value: unknown): string | undefined {
  try {
    return JSON.stringify(value, (_key, each: unknown) =>
      typeof each === 'bigint' ? String(each) : each,
    );
  } catch {
    return typeof value;
  }
}

/** The field of a request that is wrong, its value, and what it takes. */
export function invalid(field: string, value: unknown, expected: string): CoracleError {
  return new CoracleError('InvalidArgument', `${field}: ${quote(value)} ${expected}`);
}

export function notFound(what: string, id: string): CoracleError {
  return new CoracleError('NotFound', `${what} ${quote(id)} not found`);
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Throws the signal's reason as a Cancelled or DeadlineExceeded error once it has fired. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(signal);
}

export function abortError(signal: AbortSignal): CoracleError {
  const reason: unknown = signal.reason;
  if (reason instanceof CoracleError) return reason;
  const kind = reason instanceof Error && reason.name === 'TimeoutError';
  return new CoracleError(kind ? 'DeadlineExceeded' : 'Cancelled', messageOf(reason), {
    cause: reason,
  });
}

const EXHAUSTED = new Set(['ENOSPC', 'EDQUOT', 'EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN']);

/** Whether an errno name says that the host has run out of something: later it may work. */
export function isExhausted(code: unknown): boolean {
  return typeof code === 'string' && EXHAUSTED.has(code);
}
