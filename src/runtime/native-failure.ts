import { CoracleError, type ErrorKind, isExhausted } from '../errors.ts';
import { describeNative, isNativeError } from '../native/addon.ts';
import { isConnectionLost } from './monitors.ts';

/**
 * A native failure as a CoracleError of `kind`, or of the kind that its own code calls for; the
 * native one is its cause. Any other error as it is.
 */
export function fromNative(error: unknown, kind: ErrorKind): unknown {
  if (!isNativeError(error)) return error;
  return new CoracleError(kindOf(error.code, error, kind), describeNative(error), { cause: error });
}

function kindOf(code: string, error: unknown, kind: ErrorKind): ErrorKind {
  if (isConnectionLost(error)) return 'Unavailable';
  return isExhausted(code) ? 'ResourceExhausted' : kind;
}

/** The same for whatever a promise rejects with. */
export async function wrapNative<T>(work: Promise<T>, kind: ErrorKind): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw fromNative(error, kind);
  }
}
