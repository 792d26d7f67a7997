import { CoracleError, isExhausted, messageOf } from '../errors.ts';

const FULL = new Set(['ENOSPC', 'EDQUOT']);

/** Whether an errno name says that the disk, or a quota on it, is full. */
export function isDiskFull(code: unknown): boolean {
  return typeof code === 'string' && FULL.has(code);
}

/**
 * What a failed system call means for a caller: ResourceExhausted where the host has run out of
 * something, reason DiskFull where that is space; else Internal. `what` begins the message. Other
 * errors pass as they are.
 */
export function diskError(error: unknown, what: string): unknown {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (error instanceof CoracleError || typeof code !== 'string' || !/^E[A-Z0-9]+$/.test(code)) {
    return error;
  }
  return new CoracleError(
    isExhausted(code) ? 'ResourceExhausted' : 'Internal',
    `${what}: ${messageOf(error)}`,
    isDiskFull(code) ? { cause: error, reason: 'DiskFull' } : { cause: error },
  );
}

/** Whether a pull failed for want of space: what it has brought is then given back at once. */
export function lacksSpace(error: unknown): boolean {
  return error instanceof CoracleError && error.reason === 'DiskFull';
}
