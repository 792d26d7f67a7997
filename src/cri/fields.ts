/**
 * Checks of single fields. Each takes the field's path as the client would write it
 * ("config.metadata.name") and throws an InvalidArgument or Unimplemented that names it.
 */
import { isIP } from 'node:net';
import { CoracleError, invalid } from '../errors.ts';

export function nonEmpty(field: string, value: string): string {
  if (value === '') throw invalid(field, value, 'must not be empty');
  return withoutNul(field, value);
}

/** Strings end up in system calls, where a NUL would cut them short. */
export function withoutNul(field: string, value: string): string {
  if (value.includes('\0')) throw invalid(field, value, 'must not contain a NUL byte');
  return value;
}

export function present<T>(field: string, value: T | undefined): T {
  if (value === undefined) throw invalid(field, undefined, 'must be set');
  return value;
}

export function absolutePath(field: string, value: string): string {
  if (!value.startsWith('/')) throw invalid(field, value, 'must be an absolute path');
  return withoutNul(field, value);
}

/** A path that stays below what it is relative to. */
export function relativePath(field: string, value: string): string {
  if (value.startsWith('/') || value.split('/').includes('..')) {
    throw invalid(field, value, 'must be relative and must not contain ".."');
  }
  return withoutNul(field, value);
}

export function ipAddress(field: string, value: string): string {
  if (isIP(value) === 0) throw invalid(field, value, 'is not an IP address');
  return value;
}

/** One token of a line of text; blanks would make two of it. */
export function word(field: string, value: string): string {
  if (!/^[^\s\0]+$/.test(value)) throw invalid(field, value, 'must not be empty or contain blanks');
  return value;
}

/** A number that JavaScript holds exactly and that lies within the bounds. */
export function integer(
  field: string,
  value: bigint | number,
  least: number,
  most: number = Number.MAX_SAFE_INTEGER,
): number {
  if (value < least || value > most) {
    // JSON has no bigint, and a rounded number would not be the one that was sent.
    const exact = Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
    throw invalid(field, exact, `must be between ${least} and ${most}`);
  }
  return Number(value);
}

/** Translates an enum's value; numbers that this version of the protocol does not know are bad. */
export function oneOf<Value extends number, Meaning>(
  field: string,
  value: Value,
  meanings: Partial<Record<Value, Meaning>>,
  names: Record<number, string>,
): Meaning {
  const meaning = meanings[value];
  if (meaning === undefined) {
    const allowed = Object.keys(meanings).map((key) => names[Number(key)]);
    throw invalid(field, names[value] ?? value, `must be one of ${allowed.join(', ')}`);
  }
  return meaning;
}

/** For what the protocol has and Coracle has not: refused by name, never passed over. */
export function unsupported(field: string, what: string, reason?: string): CoracleError {
  const options = reason === undefined ? {} : { reason };
  return new CoracleError('Unimplemented', `${field}: ${what} not supported`, options);
}

export function refuseAny(field: string, values: readonly unknown[], what: string): void {
  if (values.length > 0) throw unsupported(field, what);
}
