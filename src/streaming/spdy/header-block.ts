/**
 * Name/value blocks of SPDY/3 and their compression (draft 3.1, sections 2.6.10 and 2.6.10.1).
 *
 * All blocks of one direction of a connection are one zlib stream, flushed to a byte boundary after
 * each. So a block can be inflated by itself when the last 32 KiB of what came before are given as
 * its dictionary, which needs no state inside zlib and no asynchronous call: frames stay in order.
 */
import { constants, inflateRawSync } from 'node:zlib';
import { DICTIONARY, DICTIONARY_ID } from './dictionary.ts';
import { SpdyError } from './errors.ts';

export type Headers = ReadonlyMap<string, string>;

/** Bytes of a block once inflated: a small frame may inflate to a thousand times its size. */
const MAX_BLOCK = 16 * 1024;
const MAX_HEADERS = 256;

/** How far back deflate refers (RFC 1951). */
const WINDOW = 32 * 1024;

/** Reads the blocks of one direction, which must come in the order in which they were sent. */
export class HeaderReader {
  #window = DICTIONARY;
  #begun = false;

  /** Throws a SpdyError for what is no block, or is too big a one. */
  read(compressed: Buffer): Headers {
    const deflated = this.#begun ? compressed : compressed.subarray(zlibHeader(compressed));
    this.#begun = true;
    const block = inflate(deflated, this.#window);
    const window = Buffer.concat([this.#window, block]);
    this.#window = window.subarray(Math.max(0, window.length - WINDOW));
    return parse(block);
  }
}

/** Length of the header that begins the zlib stream; it has to name SPDY's dictionary. */
function zlibHeader(bytes: Buffer): number {
  const [method = 0, flags = 0] = bytes;
  const sound = (method & 0x0f) === 8 && (method * 256 + flags) % 31 === 0;
  const preset = (flags & 0x20) !== 0;
  if (!sound || !preset || bytes.length < 6 || bytes.readUInt32BE(2) !== DICTIONARY_ID) {
    throw new SpdyError('header blocks are not compressed with the dictionary of SPDY/3');
  }
  return 6;
}

function inflate(deflated: Buffer, dictionary: Buffer): Buffer {
  try {
    return inflateRawSync(deflated, {
      dictionary,
      finishFlush: constants.Z_SYNC_FLUSH,
      maxOutputLength: MAX_BLOCK,
    });
  } catch (error) {
    const tooBig = (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE';
    const what = tooBig ? `inflates to more than ${MAX_BLOCK} bytes` : 'cannot be inflated';
    throw new SpdyError(`a header block ${what}`, { cause: error });
  }
}

function parse(block: Buffer): Headers {
  let at = 0;
  const number = () => {
    if (block.length - at < 4) throw new SpdyError('a header block is cut short');
    at += 4;
    return block.readUInt32BE(at - 4);
  };
  const text = () => {
    const length = number();
    if (length > block.length - at) throw new SpdyError('a header block is cut short');
    at += length;
    return block.toString('utf8', at - length, at);
  };
  const count = number();
  if (count > MAX_HEADERS) throw new SpdyError(`a header block has ${count} headers`);
  const headers = new Map<string, string>();
  for (let i = 0; i < count; i++) {
    const name = text().toLowerCase();
    if (name === '' || headers.has(name)) throw new SpdyError('a header is empty or there twice');
    headers.set(name, text());
  }
  return headers;
}

/** Writes the blocks of one direction. */
export class HeaderWriter {
  #begun = false;

  /**
   * The block in deflate's "stored" form, which spends a few bytes more and needs no compressor,
   * whose state would be 256 KiB for each connection. The empty part at its end is the flush that
   * the other end waits for.
   */
  write(headers: Headers): Buffer {
    const block = serialize(headers);
    const begin = this.#begun ? [] : [zlibHeaderBytes()];
    this.#begun = true;
    return Buffer.concat([...begin, stored(block), stored(Buffer.alloc(0))]);
  }
}

function zlibHeaderBytes(): Buffer {
  const bytes = Buffer.from([0x78, 0xbb, 0, 0, 0, 0]);
  bytes.writeUInt32BE(DICTIONARY_ID, 2);
  return bytes;
}

/** One stored part, RFC 1951 section 3.2.4; it holds up to 65,535 bytes. */
function stored(bytes: Buffer): Buffer {
  const part = Buffer.alloc(5 + bytes.length);
  part.writeUInt16LE(bytes.length, 1);
  part.writeUInt16LE(bytes.length ^ 0xffff, 3);
  bytes.copy(part, 5);
  return part;
}

function serialize(headers: Headers): Buffer {
  const parts: Buffer[] = [uint32(headers.size)];
  for (const [name, value] of headers) {
    for (const text of [name, value]) {
      const bytes = Buffer.from(text);
      parts.push(uint32(bytes.length), bytes);
    }
  }
  return Buffer.concat(parts);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
