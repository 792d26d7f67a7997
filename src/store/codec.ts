import { CoracleError, messageOf } from '../errors.ts';
import { fromJson, toJson } from './json.ts';
import type { Codec } from './table.ts';

/** Plain JSON data and bigints as they are. */
export function jsonCodec<T>(): Codec<T> {
  return {
    version: 1,
    encode: (value) => value,
    decode: (data) => data as T,
  };
}

/** A record was written by a version of this program that knows more than this one. */
export class UnknownVersionError extends CoracleError {}

/** `{"v":<version>,"d":<data>}`, the form of every record on disk. */
export function encodeRecord<T>(codec: Codec<T>, value: T): Buffer {
  const data = codec.encode(value);
  if (data === undefined) throw new TypeError('a record cannot be undefined');
  return Buffer.from(toJson({ v: codec.version, d: data }));
}

/** `where` names table and key for the error, which is DataLoss. */
export function decodeRecord<T>(codec: Codec<T>, bytes: Buffer, where: string): T {
  let record: unknown;
  try {
    record = fromJson(bytes.toString('utf8'));
  } catch (error) {
    throw new CoracleError('DataLoss', `${where}: ${messageOf(error)}`, { cause: error });
  }
  if (typeof record !== 'object' || record === null || !('v' in record) || !('d' in record)) {
    throw new CoracleError('DataLoss', `${where}: not a versioned record`);
  }
  const { v: version, d: data } = record;
  if (typeof version !== 'number') {
    throw new CoracleError('DataLoss', `${where}: not a versioned record`);
  }
  const known = codec.reads ?? [codec.version];
  if (!known.includes(version)) {
    throw new UnknownVersionError(
      'DataLoss',
      `${where}: record version ${version} is unknown; this program reads ${known.join(', ')}`,
      { reason: 'UnknownVersion' },
    );
  }
  try {
    return codec.decode(data, version);
  } catch (error) {
    throw new CoracleError('DataLoss', `${where}: ${messageOf(error)}`, { cause: error });
  }
}
