import { isUtf8 } from 'node:buffer';
import { BinaryReader } from '@bufbuild/protobuf/wire';

/**
 * Tags, lengths and small numbers that a request may have. Two bytes on the wire make an object of
 * hundreds in memory: without a bound 16 MiB of empty messages would take all there is. The largest
 * sensible request, a container with the variables of some ten thousand services, stays far below.
 */
const MOST_PARTS = 1_000_000;

/** Reads a message that may be anything. Throws plain Errors that say what is wrong with it. */
export class RequestReader extends BinaryReader {
  constructor(bytes: Uint8Array) {
    super(bytes, text);
    const read = this.uint32;
    let parts = 0;
    this.uint32 = () => {
      parts += 1;
      if (parts > MOST_PARTS) throw new Error(`it has more than ${MOST_PARTS} parts`);
      return read.call(this);
    };
  }

  /** For when the message has been read: one that ends by a tag that ends nothing has more. */
  end(): void {
    if (this.pos !== this.len) throw new Error('a tag is none');
  }
}

/** What is no UTF-8 would not come back as it was given, and may be another object's name. */
function text(bytes: Uint8Array): string {
  if (!isUtf8(bytes)) throw new Error('a string is not UTF-8');
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}
