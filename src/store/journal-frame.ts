import { createHash } from 'node:crypto';
import type { Change } from './backend.ts';

/**
 * One commit in the journal:
 *
 *     u32 length of the body, 8 bytes of the body's SHA-256, body:
 *       u64 sequence number, then for each change
 *       u16 key length, key, u32 value length (REMOVED: none), value
 *
 * All integers little-endian.
 */
export interface Frame {
  readonly sequence: number;
  readonly changes: readonly Change[];
}

const HEADER = 12;
const REMOVED = 0xffffffff;

export function encodeFrame(frame: Frame): Buffer {
  const keys = frame.changes.map(({ key }) => Buffer.from(key));
  let size = HEADER + 8;
  frame.changes.forEach(({ value }, i) => {
    size += 2 + (keys[i]?.length ?? 0) + 4 + (value?.length ?? 0);
  });
  const out = Buffer.alloc(size);
  out.writeUInt32LE(size - HEADER, 0);
  let at = out.writeBigUInt64LE(BigInt(frame.sequence), HEADER);
  frame.changes.forEach(({ value }, i) => {
    const key = keys[i] ?? Buffer.alloc(0);
    at = out.writeUInt16LE(key.length, at);
    at += key.copy(out, at);
    at = out.writeUInt32LE(value === undefined ? REMOVED : value.length, at);
    at += value?.copy(out, at) ?? 0;
  });
  digest(out.subarray(HEADER)).copy(out, 4);
  return out;
}

export interface PlacedFrame extends Frame {
  /** Offset of the first byte after it. */
  readonly end: number;
}

/** Whole frames from the start of `file`, as long as each continues the one before it. */
export function decodeFrames(file: Buffer): PlacedFrame[] {
  const frames: PlacedFrame[] = [];
  let at = 0;
  while (at + HEADER <= file.length) {
    const length = file.readUInt32LE(at);
    const end = at + HEADER + length;
    if (length < 8 || end > file.length) break;
    const body = file.subarray(at + HEADER, end);
    if (!digest(body).equals(file.subarray(at + 4, at + HEADER))) break;
    const frame = decodeBody(body);
    const last = frames.at(-1);
    if (last !== undefined && frame.sequence !== last.sequence + 1) break;
    frames.push({ ...frame, end });
    at = end;
  }
  return frames;
}

function decodeBody(body: Buffer): Frame {
  const changes: Change[] = [];
  let at = 8;
  while (at < body.length) {
    const keyEnd = at + 2 + body.readUInt16LE(at);
    const key = body.toString('utf8', at + 2, keyEnd);
    const length = body.readUInt32LE(keyEnd);
    at = keyEnd + 4;
    if (length === REMOVED) {
      changes.push({ key, value: undefined });
    } else {
      changes.push({ key, value: Buffer.from(body.subarray(at, at + length)) });
      at += length;
    }
  }
  return { sequence: Number(body.readBigUInt64LE(0)), changes };
}

function digest(body: Buffer): Buffer {
  return createHash('sha256').update(body).digest().subarray(0, 8);
}
