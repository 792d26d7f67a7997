import type { Duplex } from 'node:stream';
import { Keepalive } from '../keepalive.ts';
import { LINGER_MS, type Link } from '../link.ts';
import { MuxStream, SpareRoom } from '../mux-stream.ts';
import { GoAwayStatus, ResetStatus, SpdyError } from './errors.ts';
import { dataHeader, goAway, ping, rstStream, synReply, windowUpdate } from './frames.ts';
import { type Headers, HeaderWriter } from './header-block.ts';
import { type Frame, FrameParser } from './parser.ts';

/** Streams open at once: 256 forwarded connections, which take two each. */
const MAX_STREAMS = 512;
/** Bytes of our own answers (pings, resets) that may wait for a client that reads nothing. */
const MAX_ANSWERS = 64 * 1024;
/** The longest data frame that is written, bytes: streams take turns. */
const MAX_DATA = 64 * 1024;
/** How long frames are handled at a stretch, ms: header blocks that inflate take long. */
const TURN_MS = 2;
/** Bytes of a stream after which they are acknowledged; SPDY's initial window is 64 KiB. */
const ACKNOWLEDGE = 32 * 1024;

export interface SpdyOptions {
  /** What to do with a stream that has these headers; undefined refuses it. */
  accept(headers: Headers, id: number): ((stream: MuxStream) => void) | undefined;
  /** 0: for ever. */
  idleMs: number;
  pingMs?: number | undefined;
  /** What the client sent ended the connection: mostly a SpdyError. */
  onFailure?(error: Error): void;
}

/**
 * The server's end of a SPDY/3.1 connection (draft 3.1) on any byte stream.
 *
 * SPDY's flow control is given, and not waited for: the clients of the field (moby/spdystream)
 * neither send WINDOW_UPDATE nor heed it. What holds a sender back is the transport: it is not read
 * while a stream's reader is a MiB behind, and writes are called back when the socket has taken them.
 */
export class SpdyConnection implements Link {
  readonly closed: Promise<void>;
  readonly #transport: Duplex;
  readonly #options: SpdyOptions;
  readonly #parser = new FrameParser();
  readonly #headerWriter = new HeaderWriter();
  readonly #streams = new Map<number, MuxStream>();
  readonly #unacknowledged = new Map<number, number>();
  readonly #spare = new SpareRoom();
  readonly #keepalive: Keepalive;
  #lastId = 0;
  #pingId = 0;
  #answers = 0;
  #onCleared: (() => void) | undefined;
  #closing = false;

  constructor(transport: Duplex, options: SpdyOptions) {
    this.#transport = transport;
    this.#options = options;
    this.#keepalive = new Keepalive({
      idleMs: options.idleMs,
      pingMs: options.pingMs,
      ping: () => this.#ping(),
      onIdle: () => this.close(),
    });
    this.closed = new Promise((resolve) => {
      transport.once('close', () => {
        this.#release();
        resolve();
      });
    });
    transport.on('error', () => transport.destroy());
    transport.on('end', () => this.#onEnd());
    transport.on('data', (chunk: Buffer) => this.#take(this.#parser.feed(chunk)));
  }

  close(status: number = GoAwayStatus.ok): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#keepalive.stop();
    if (this.#transport.writable) this.#transport.end(goAway(this.#lastId, status));
    else this.destroy();
    for (const stream of [...this.#streams.values()]) stream.cut();
    this.#transport.resume();
    const timer = setTimeout(() => this.destroy(), LINGER_MS);
    this.#transport.once('close', () => clearTimeout(timer));
  }

  destroy(): void {
    this.#transport.destroy();
  }

  /** No frame may pass another one, so none is taken while one waits for room. */
  #take(frames: Iterator<Frame>): void {
    const begin = performance.now();
    try {
      for (let next = frames.next(); !next.done; next = frames.next()) {
        if (this.#closing) return;
        const room = both(this.#handle(next.value), this.#backlog()) ?? nextTurn(begin);
        if (!room) continue;
        this.#hold();
        void room.then(() => this.#take(frames));
        return;
      }
      this.#unhold();
    } catch (error) {
      const violation = error instanceof SpdyError;
      this.#options.onFailure?.(error as Error);
      this.close(violation ? GoAwayStatus.protocolError : GoAwayStatus.internalError);
    }
  }

  #hold(): void {
    if (this.#transport.isPaused()) return;
    this.#transport.pause();
    this.#keepalive.held(true);
  }

  #unhold(): void {
    if (!this.#transport.isPaused()) return;
    this.#transport.resume();
    this.#keepalive.held(false);
  }

  #handle(frame: Frame): Promise<void> | undefined {
    // The answer to a ping of ours, whose numbers are even, is no sign of use.
    if (frame.type === 'ping' && frame.id % 2 === 0) return undefined;
    this.#keepalive.touch();
    switch (frame.type) {
      case 'data':
        return this.#onData(frame.id, frame.payload, frame.fin);
      case 'synStream':
        this.#onSynStream(frame.id, frame.headers, frame.fin);
        return undefined;
      case 'rstStream':
        this.#streams.get(frame.id)?.cut();
        return undefined;
      case 'ping':
        this.#answer(ping(frame.id));
        return undefined;
      case 'headers':
        if (frame.fin) this.#streams.get(frame.id)?.deliverEnd();
        return undefined;
      default:
        return undefined;
    }
  }

  #onSynStream(id: number, headers: Headers, fin: boolean): void {
    if (id % 2 === 0 || id <= this.#lastId) {
      throw new SpdyError(`stream ${id} cannot be opened after ${this.#lastId}`);
    }
    this.#lastId = id;
    const taker = this.#streams.size < MAX_STREAMS ? this.#options.accept(headers, id) : undefined;
    if (!taker) {
      this.#answer(rstStream(id, ResetStatus.refusedStream));
      return;
    }
    const stream = new MuxStream(id, this.#link, this.#spare);
    this.#streams.set(id, stream);
    this.#answer(synReply(id, this.#headerWriter));
    if (fin) stream.deliverEnd();
    taker(stream);
  }

  #onData(id: number, payload: Buffer, fin: boolean): Promise<void> | undefined {
    // The connection as a whole has a window, too; it goes by the id 0.
    this.#acknowledge(0, payload.length);
    const stream = this.#streams.get(id);
    if (!stream) {
      // Data for a stream that was closed meanwhile is normal.
      const isClosed = id <= this.#lastId && id % 2 === 1;
      if (!isClosed) this.#answer(rstStream(id, ResetStatus.invalidStream));
      return undefined;
    }
    if (stream.remoteEnded) {
      stream.cut();
      this.#answer(rstStream(id, ResetStatus.streamAlreadyClosed));
      return undefined;
    }
    const room = stream.deliver(payload);
    if (fin) stream.deliverEnd();
    else if (!stream.destroyed) this.#acknowledge(id, payload.length);
    return room;
  }

  #acknowledge(id: number, bytes: number): void {
    const sum = (this.#unacknowledged.get(id) ?? 0) + bytes;
    const due = sum >= ACKNOWLEDGE;
    this.#unacknowledged.set(id, due ? 0 : sum);
    if (due) this.#answer(windowUpdate(id, sum));
  }

  #ping(): void {
    if (!this.#transport.writable) return;
    this.#pingId = (this.#pingId + 2) % 0x8000_0000;
    this.#transport.write(ping(this.#pingId));
  }

  /** Sends what the client made us send. */
  #answer(frame: Buffer): void {
    if (!this.#transport.writable) return;
    this.#answers += frame.length;
    this.#transport.write(frame, () => {
      this.#answers -= frame.length;
      if (this.#answers < MAX_ANSWERS) this.#cleared();
    });
  }

  /** A client that does not read what it made us send is not listened to meanwhile. */
  #backlog(): Promise<void> | undefined {
    if (this.#answers < MAX_ANSWERS || this.#closing) return undefined;
    return new Promise((resolve) => {
      this.#onCleared = resolve;
    });
  }

  #cleared(): void {
    const onCleared = this.#onCleared;
    this.#onCleared = undefined;
    onCleared?.();
  }

  readonly #link = {
    send: (stream: MuxStream, chunk: Buffer, done: (error?: Error | null) => void) => {
      if (!this.#transport.writable) return done(new Error('the connection is closed'));
      this.#keepalive.touch();
      this.#transport.cork();
      for (let at = 0; at < chunk.length; at += MAX_DATA) {
        const part = chunk.subarray(at, at + MAX_DATA);
        this.#transport.write(dataHeader(stream.id, part.length, false));
        if (at + MAX_DATA < chunk.length) this.#transport.write(part);
        else this.#transport.write(part, done);
      }
      this.#transport.uncork();
      if (chunk.length === 0) done();
    },
    finish: (stream: MuxStream, done: (error?: Error | null) => void) => {
      if (this.#transport.writable) this.#transport.write(dataHeader(stream.id, 0, true));
      done();
    },
    release: (stream: MuxStream, early: boolean) => {
      this.#streams.delete(stream.id);
      this.#unacknowledged.delete(stream.id);
      if (early && !this.#closing) this.#answer(rstStream(stream.id, ResetStatus.cancel));
    },
  };

  /** A client that closes its side is done: none half-closes the connection under its streams. */
  #onEnd(): void {
    if (this.#closing) return;
    this.destroy();
  }

  #release(): void {
    this.#closing = true;
    this.#keepalive.stop();
    for (const stream of [...this.#streams.values()]) stream.cut();
    this.#cleared();
  }
}

/** Others have their turn where one client's frames take long. */
function nextTurn(begin: number): Promise<void> | undefined {
  if (performance.now() - begin < TURN_MS) return undefined;
  return new Promise((resolve) => setImmediate(resolve));
}

function both(
  a: Promise<void> | undefined,
  b: Promise<void> | undefined,
): Promise<void> | undefined {
  return a && b ? Promise.all([a, b]).then(() => {}) : (a ?? b);
}
