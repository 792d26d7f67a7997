import { SpdyError } from './errors.ts';
import { FLAG_FIN, FrameType, VERSION } from './frames.ts';
import { HeaderReader, type Headers } from './header-block.ts';

/** What a peer said. Data comes in the pieces that the network made of it. */
export type Frame =
  | { type: 'data'; id: number; payload: Buffer; fin: boolean }
  | { type: 'synStream'; id: number; headers: Headers; fin: boolean }
  | { type: 'synReply' | 'headers'; id: number; headers: Headers; fin: boolean }
  | { type: 'rstStream'; id: number; status: number }
  | { type: 'ping'; id: number }
  | { type: 'goAway'; lastId: number; status: number };

/** Payload of a control frame, bytes. The field allows 16 MiB; a client's headers need hundreds. */
const MAX_CONTROL = 16 * 1024;

const HEADER = 8;
const ID = 0x7fff_ffff;

/** The data frame whose payload is arriving. */
interface Arriving {
  readonly id: number;
  readonly fin: boolean;
  left: number;
}

/**
 * Takes the bytes of a connection in pieces of any size and gives frames. It holds back no more
 * than one control frame. Frames of unknown type, SETTINGS and WINDOW_UPDATE (nobody is waited
 * for) are left out.
 */
export class FrameParser {
  readonly #headers = new HeaderReader();
  #data: Arriving | undefined;
  #held: Buffer[] = [];
  #heldSize = 0;
  #needed = HEADER;

  /** Throws a SpdyError for what is no SPDY/3; the parser is of no use from then on. */
  *feed(chunk: Buffer): Generator<Frame> {
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#data) {
        const payload = rest.subarray(0, this.#data.left);
        rest = rest.subarray(payload.length);
        yield this.#takeData(this.#data, payload);
        continue;
      }
      const part = rest.subarray(0, this.#needed - this.#heldSize);
      rest = rest.subarray(part.length);
      this.#held.push(part);
      this.#heldSize += part.length;
      if (this.#heldSize < this.#needed) return;
      const frame = this.#takeHeld(Buffer.concat(this.#held));
      if (frame) yield frame;
    }
  }

  #takeData(data: Arriving, payload: Buffer): Frame {
    data.left -= payload.length;
    if (data.left === 0) this.#data = undefined;
    return { type: 'data', id: data.id, payload, fin: data.fin && data.left === 0 };
  }

  /** A header, or a control frame from its header to its end. */
  #takeHeld(bytes: Buffer): Frame | undefined {
    const length = bytes.readUIntBE(5, 3);
    const isControl = bytes.readUInt8(0) >= 0x80;
    if (isControl && bytes.length < HEADER + length) {
      checkControl(bytes, length);
      this.#held = [bytes];
      this.#needed = HEADER + length;
      return undefined;
    }
    this.#held = [];
    this.#heldSize = 0;
    this.#needed = HEADER;
    if (isControl) {
      checkControl(bytes, length);
      return this.#control(bytes.readUInt16BE(2), bytes.readUInt8(4), bytes.subarray(HEADER));
    }
    const id = bytes.readUInt32BE(0);
    const fin = (bytes.readUInt8(4) & FLAG_FIN) !== 0;
    if (length === 0) return { type: 'data', id, payload: Buffer.alloc(0), fin };
    this.#data = { id, fin, left: length };
    return undefined;
  }

  #control(type: number, flags: number, payload: Buffer): Frame | undefined {
    const fin = (flags & FLAG_FIN) !== 0;
    const word = (at: number) => {
      if (payload.length < at + 4) throw new SpdyError(`a control frame of type ${type} is short`);
      return payload.readUInt32BE(at);
    };
    switch (type) {
      case FrameType.synStream:
        // After the id: the stream that this one belongs to, 32 bits; priority and slot, 8 each.
        word(6);
        return { type: 'synStream', id: word(0) & ID, headers: this.#block(payload, 10), fin };
      case FrameType.synReply:
        return { type: 'synReply', id: word(0) & ID, headers: this.#block(payload, 4), fin };
      case FrameType.headers:
        return { type: 'headers', id: word(0) & ID, headers: this.#block(payload, 4), fin };
      case FrameType.rstStream:
        return { type: 'rstStream', id: word(0) & ID, status: word(4) };
      case FrameType.ping:
        return { type: 'ping', id: word(0) };
      case FrameType.goAway:
        return { type: 'goAway', lastId: word(0) & ID, status: word(4) };
      default:
        return undefined;
    }
  }

  #block(payload: Buffer, at: number): Headers {
    return this.#headers.read(payload.subarray(at));
  }
}

function checkControl(header: Buffer, length: number): void {
  const version = header.readUInt16BE(0) & 0x7fff;
  if (version !== VERSION) throw new SpdyError(`version ${version} of SPDY is not 3`);
  if (length > MAX_CONTROL) throw new SpdyError(`a control frame of ${length} bytes is too big`);
}
