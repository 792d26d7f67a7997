import { randomBytes } from 'node:crypto';
import { CoracleError, quote } from '../errors.ts';

/** How many candidates an error about an ambiguous prefix lists. */
const LISTED = 5;

const ID_BYTES = 32;
/** Random bytes of ids to come: fetching them one by one takes longer than all else of an id. */
let pool = Buffer.alloc(0);
let used = 0;

/** 256 random bits as 64 lower-case hex digits. */
export function newId(): string {
  if (used === pool.length) {
    pool = randomBytes(ID_BYTES * 64);
    used = 0;
  }
  const begin = used;
  used += ID_BYTES;
  return pool.toString('hex', begin, used);
}

/**
 * The one id that is `given` or starts with it; undefined where there is none. Throws
 * InvalidArgument where `given` is empty or more than one id starts with it (SS-11).
 */
export function resolveId(
  what: string,
  ids: ReadonlyMap<string, unknown>,
  given: string,
): string | undefined {
  if (given === '') throw new CoracleError('InvalidArgument', `${what} id: must not be empty`);
  if (ids.has(given)) return given;
  const found: string[] = [];
  for (const id of ids.keys()) if (id.startsWith(given)) found.push(id);
  if (found.length <= 1) return found[0];
  const rest = found.length > LISTED ? ` and ${found.length - LISTED} more` : '';
  const listed = found.sort().slice(0, LISTED).join(', ');
  throw new CoracleError(
    'InvalidArgument',
    `${what} id ${quote(given)} is ambiguous: ${listed}${rest}`,
    { reason: 'AmbiguousId' },
  );
}
