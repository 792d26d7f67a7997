import { createHash } from 'node:crypto';

/**
 * What makes a value of the engine's file its own witness: it was written whole, under this key,
 * by the commit with this number.
 *
 *     u8 1, u64 number of the commit, 8 bytes of the SHA-256 of key, NUL, number and value, value
 *
 * Integers little-endian. No value begins with 1 by itself: they are JSON.
 */
const MARK = 1;
const HEADER = 17;

export interface Sealed {
  readonly sequence: number;
  readonly value: Buffer;
}

export function seal(key: string, sequence: number, value: Buffer): Buffer {
  const out = Buffer.alloc(HEADER + value.length);
  out[0] = MARK;
  out.writeBigUInt64LE(BigInt(sequence), 1);
  value.copy(out, HEADER);
  witness(key, out).copy(out, 9);
  return out;
}

/** Undefined where the bytes, or the key, are not what was written. A value without seal is 0's. */
export function unseal(key: string, bytes: Buffer): Sealed | undefined {
  if (bytes[0] !== MARK) return { sequence: 0, value: bytes };
  if (bytes.length < HEADER || !witness(key, bytes).equals(bytes.subarray(9, HEADER))) {
    return undefined;
  }
  return { sequence: Number(bytes.readBigUInt64LE(1)), value: bytes.subarray(HEADER) };
}

function witness(key: string, sealed: Buffer): Buffer {
  const hash = createHash('sha256').update(`${key}\0`).update(sealed.subarray(1, 9));
  return hash.update(sealed.subarray(HEADER)).digest().subarray(0, 8);
}
