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

/** Bytes that each stream may hold for its reader, whatever the others hold. */
const ROOM = 64 * 1024;

/** Bytes that one stream may hold while the connection has room to spare. */
const MAX_ROOM = 1024 * 1024;

/** Bytes that the streams of a connection may hold beyond what each may anyhow. */
const SPARE = 4 * 1024 * 1024;

/** What keeping a piece costs at least, bytes: a flood of tiny ones must not cost more than ROOM. */
const PIECE = 256;

/**
 * Room that the streams of a connection share. When a stream has used it up, the whole connection
 * has to wait for its reader: clients send on, and what they send on other streams comes behind. So
 * a reader that is slow holds up the other streams only once it is a MiB behind.
 */
export class SpareRoom {
  #left = SPARE;

  take(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#left += bytes;
  }
}

/** One of the streams that share a connection. Each of its directions can end by itself. */
export class MuxStream extends Duplex {
  readonly id: number;
  readonly #link: MuxLink;
  readonly #spare: SpareRoom;
  /** What of #spare it has. */
  #taken = 0;
  #pieces: Buffer[] = [];
  #cost = 0;
  #wanted = false;
  #remoteEnded = false;
  #localEnded = false;
  #onRoom: (() => void) | undefined;

  constructor(id: number, link: MuxLink, spare: SpareRoom = new SpareRoom()) {
    // What has not been asked for stays in #pieces, where its cost is known.
    super({ allowHalfOpen: true, readableHighWaterMark: 1, writableHighWaterMark: ROOM });
    this.id = id;
    this.#link = link;
    this.#spare = spare;
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
    if (this.#hasRoom()) return undefined;
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

  #hasRoom(): boolean {
    if (this.#cost < ROOM) return true;
    const more = this.#cost - ROOM - this.#taken;
    if (this.#cost >= MAX_ROOM || !this.#spare.take(more)) return false;
    this.#taken += more;
    return true;
  }

  #forget(): void {
    this.#pieces = [];
    this.#cost = 0;
    this.#spare.giveBack(this.#taken);
    this.#taken = 0;
  }

  #feed(): void {
    if (!this.#wanted || this.destroyed) return;
    if (this.#pieces.length > 0) {
      const [first] = this.#pieces;
      const merged = this.#pieces.length === 1 && first ? first : Buffer.concat(this.#pieces);
      this.#forget();
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
    this.#forget();
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
