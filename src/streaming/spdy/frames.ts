/** Frames of SPDY/3.1 (draft 3.1, section 2.2) as they are written. */
import type { HeaderWriter } from './header-block.ts';

export const VERSION = 3;

/** Types of control frames. */
export const FrameType = {
  synStream: 1,
  synReply: 2,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  headers: 8,
  windowUpdate: 9,
} as const;

/** The sender has nothing more to say on this stream. */
export const FLAG_FIN = 1;

/** Length of a frame is a field of 24 bits. */
const MAX_LENGTH = 0xff_ffff;

/** Precedes the payload of a data frame. */
export function dataHeader(streamId: number, length: number, fin: boolean): Buffer {
  if (length > MAX_LENGTH) throw new RangeError(`${length} bytes do not fit into one SPDY frame`);
  const header = Buffer.alloc(8);
  header.writeUInt32BE(streamId, 0);
  header.writeUInt32BE(length, 4);
  if (fin) header[4] = FLAG_FIN;
  return header;
}

export function synReply(streamId: number, writer: HeaderWriter): Buffer {
  const block = writer.write(new Map());
  return control(FrameType.synReply, Buffer.concat([words(streamId), block]));
}

export function rstStream(streamId: number, status: number): Buffer {
  return control(FrameType.rstStream, words(streamId, status));
}

export function ping(id: number): Buffer {
  return control(FrameType.ping, words(id));
}

export function goAway(lastStreamId: number, status: number): Buffer {
  return control(FrameType.goAway, words(lastStreamId, status));
}

export function windowUpdate(streamId: number, delta: number): Buffer {
  return control(FrameType.windowUpdate, words(streamId, delta));
}

function control(type: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt16BE(0x8000 | VERSION, 0);
  header.writeUInt16BE(type, 2);
  header.writeUInt32BE(payload.length, 4);
  return Buffer.concat([header, payload]);
}

function words(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [i, value] of values.entries()) bytes.writeUInt32BE(value, i * 4);
  return bytes;
}
