import { createHash } from 'node:crypto';
import type { Change } from './backend.ts';

/**
 * One commit in the journal:
 *
 *     u32 length of the body, 8 bytes of the SHA-256 of FORMAT and the body, body:
 *       u64 sequence number, u64 sequence number of the last commit that was durable by then,
 *       then for each change
 *       u16 key length, key, u32 value length (REMOVED: none), value
 *
 * All integers little-endian.
 */
export interface Frame {
  readonly sequence: number;
  /**
   * The disk had all commits up to this one when the frame was written: one of them that is not
   * there was damaged since, whereas the end of what was never synced is no loss.
   */
  readonly durable: number;
  readonly changes: readonly Change[];
}

/** Goes into the checksum: what another version has left in the file is no frame. */
const FORMAT = 'coracle journal 2';
const HEADER = 12;
const BODY = 16;
const REMOVED = 0xffffffff;

export function encodeFrame(frame: Frame): Buffer {
  const keys = frame.changes.map(({ key }) => Buffer.from(key));
  let size = HEADER + BODY;
  frame.changes.forEach(({ value }, i) => {
    size += 2 + (keys[i]?.length ?? 0) + 4 + (value?.length ?? 0);
  });
  const out = Buffer.alloc(size);
  out.writeUInt32LE(size - HEADER, 0);
  let at = out.writeBigUInt64LE(BigInt(frame.sequence), HEADER);
  at = out.writeBigUInt64LE(BigInt(frame.durable), at);
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

/**
 * All whole frames of `file`, in their order there. Behind the last one written there may be older
 * ones, since a file is written over; behind a damaged one there may be newer.
 */
export function decodeFrames(file: Buffer): PlacedFrame[] {
  const frames: PlacedFrame[] = [];
  let at = 0;
  while (at + HEADER + BODY <= file.length) {
    const end = at + HEADER + file.readUInt32LE(at);
    if (end >= at + HEADER + BODY && end <= file.length) {
      const body = file.subarray(at + HEADER, end);
      if (digest(body).equals(file.subarray(at + 4, at + HEADER))) {
        frames.push({ ...decodeBody(body), end });
        at = end;
        continue;
      }
    }
    // No text has the zero that the length of a frame ends with, so few places need a checksum.
    at += 1;
  }
  return frames;
}

function decodeBody(body: Buffer): Frame {
  const changes: Change[] = [];
  let at = BODY;
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
  return {
    sequence: Number(body.readBigUInt64LE(0)),
    durable: Number(body.readBigUInt64LE(8)),
    changes,
  };
}

function digest(body: Buffer): Buffer {
  return createHash('sha256').update(FORMAT).update(body).digest().subarray(0, 8);
}
