import { Duplex } from 'node:stream';

/** What a stream needs of the connection that carries it. */
export interface MuxLink {
  /** Calls back once the connection can take more. */
  send(stream: MuxStream, chunk: Buffer, done: (error?: Error | null) => void): void;
  /** This side has nothing more to say. */
  finish(stream: MuxStream, done: (error?: Error | null) => void): void;
  /** The stream is over; before its time, if `early`. */
  release(stream: MuxStream, early: boolean): void;
}

/** Bytes that one stream holds for its reader before the whole connection has to wait. */
const ROOM = 64 * 1024;

/** What keeping a piece costs at least, bytes: a flood of tiny ones must not cost more than ROOM. */
const PIECE = 256;

/** One of the streams that share a connection. Each of its directions can end by itself. */
export class MuxStream extends Duplex {
  readonly id: number;
  readonly #link: MuxLink;
  #pieces: Buffer[] = [];
  #cost = 0;
  #wanted = false;
  #remoteEnded = false;
  #localEnded = false;
  #onRoom: (() => void) | undefined;

  constructor(id: number, link: MuxLink) {
    // What has not been asked for stays in #pieces, where its cost is known.
    super({ allowHalfOpen: true, readableHighWaterMark: 1, writableHighWaterMark: ROOM });
    this.id = id;
    this.#link = link;
  }

  get remoteEnded(): boolean {
    return this.#remoteEnded;
  }

  /** Bytes from the peer. The promise, if there is one, resolves when there is room for more. */
  deliver(bytes: Buffer): Promise<void> | undefined {
    if (this.destroyed || this.#remoteEnded || bytes.length === 0) return undefined;
    this.#pieces.push(compact(bytes));
    this.#cost += Math.max(bytes.length, PIECE);
    this.#feed();
    if (this.#cost < ROOM) return undefined;
    return new Promise((resolve) => {
      const before = this.#onRoom;
      this.#onRoom = () => {
        before?.();
        resolve();
      };
    });
  }

  /** The peer has nothing more to say. */
  deliverEnd(): void {
    if (this.#remoteEnded) return;
    this.#remoteEnded = true;
    this.#feed();
  }

  /** The peer, or the connection, is done with this stream in both directions. */
  cut(): void {
    this.#remoteEnded = true;
    this.#localEnded = true;
    this.destroy();
  }

  #feed(): void {
    if (!this.#wanted || this.destroyed) return;
    if (this.#pieces.length > 0) {
      const [first] = this.#pieces;
      const merged = this.#pieces.length === 1 && first ? first : Buffer.concat(this.#pieces);
      this.#pieces = [];
      this.#cost = 0;
      this.#wanted = false;
      this.push(merged);
      this.#room();
    } else if (this.#remoteEnded) {
      this.#wanted = false;
      this.push(null);
    }
  }

  #room(): void {
    const onRoom = this.#onRoom;
    this.#onRoom = undefined;
    onRoom?.();
  }

  override _read(): void {
    this.#wanted = true;
    this.#feed();
  }

  override _write(
    chunk: Buffer,
    _encoding: BufferEncoding,
    done: (error?: Error | null) => void,
  ): void {
    this.#link.send(this, chunk, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#localEnded = true;
    this.#link.finish(this, done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#pieces = [];
    this.#link.release(this, !(this.#remoteEnded && this.#localEnded));
    this.#room();
    done(error);
  }
}

/** A small piece must not keep all of what came with it from the network, up to 64 KiB. */
function compact(bytes: Buffer): Buffer {
  if (bytes.length * 4 > bytes.buffer.byteLength) return bytes;
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(copy);
  return copy;
}
