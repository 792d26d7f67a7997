import type { RawData, WebSocket } from 'ws';
import { Keepalive } from '../keepalive.ts';
import { LINGER_MS, type Link } from '../link.ts';
import { MuxStream, SpareRoom } from '../mux-stream.ts';
import { answerPings } from './pings.ts';

/** First byte of a v5 message which says that the channel in the second byte has ended. */
const CLOSE_SIGNAL = 0xff;

const ASCII_ZERO = 0x30;

export interface ChannelOptions {
  /** How many channels there are; messages for others are dropped. */
  channels: number;
  /** Whether messages are text: a digit and base64. */
  base64: boolean;
  /** Whether the client can say that a channel has ended (v5). */
  closeSignal: boolean;
  /** 0: for ever. */
  idleMs: number;
  pingMs?: number | undefined;
}

/**
 * Streams on one WebSocket, by Kubernetes' channel protocols: the first byte of a message is the
 * number of its channel. All channels exist from the start.
 */
export class WebSocketChannels implements Link {
  readonly closed: Promise<void>;
  readonly #socket: WebSocket;
  readonly #options: ChannelOptions;
  readonly #streams: MuxStream[];
  readonly #keepalive: Keepalive;
  #waits = 0;
  #closing = false;

  constructor(socket: WebSocket, options: ChannelOptions) {
    this.#socket = socket;
    this.#options = options;
    const spare = new SpareRoom();
    this.#streams = Array.from(
      { length: options.channels },
      (_, id) => new MuxStream(id, this.#link, spare),
    );
    this.#keepalive = new Keepalive({
      idleMs: options.idleMs,
      pingMs: options.pingMs,
      ping: () => socket.readyState === socket.OPEN && socket.ping(),
      onIdle: () => this.close(),
    });
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#closing = true;
        this.#keepalive.stop();
        for (const stream of this.#streams) stream.cut();
        resolve();
      });
    });
    socket.on('error', () => socket.terminate());
    socket.on('message', (data, isBinary) => this.#onMessage(data, isBinary));
    answerPings(socket, () => this.#keepalive.touch());
  }

  channel(id: number): MuxStream {
    const stream = this.#streams[id];
    if (!stream) throw new RangeError(`there is no channel ${id}`);
    return stream;
  }

  close(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#keepalive.stop();
    this.#socket.close(1000);
    this.#socket.resume();
    const timer = setTimeout(() => this.destroy(), LINGER_MS);
    this.#socket.once('close', () => clearTimeout(timer));
    // Nothing is read any more: a reader that is behind must not hold up the client's good-bye.
    for (const stream of this.#streams) stream.cut();
  }

  destroy(): void {
    this.#socket.terminate();
  }

  #onMessage(data: RawData, isBinary: boolean): void {
    this.#keepalive.touch();
    // ws gives one Buffer unless it is asked for something else.
    const bytes = data as Buffer;
    const [first, second] = bytes;
    if (first === undefined) return;
    if (this.#options.closeSignal && first === CLOSE_SIGNAL) {
      if (second !== undefined) this.#streams[second]?.deliverEnd();
      return;
    }
    const encoded = this.#options.base64 && !isBinary;
    const stream = this.#streams[encoded ? first - ASCII_ZERO : first];
    const content = encoded
      ? Buffer.from(bytes.toString('latin1', 1), 'base64')
      : bytes.subarray(1);
    const room = stream?.deliver(content);
    if (room) void this.#wait(room);
  }

  async #wait(room: Promise<void>): Promise<void> {
    this.#waits += 1;
    if (this.#waits === 1) {
      this.#socket.pause();
      this.#keepalive.held(true);
    }
    await room;
    this.#waits -= 1;
    if (this.#waits > 0) return;
    this.#socket.resume();
    this.#keepalive.held(false);
  }

  readonly #link = {
    send: (stream: MuxStream, chunk: Buffer, done: (error?: Error | null) => void) => {
      if (this.#socket.readyState !== this.#socket.OPEN) {
        return done(new Error('the connection is closed'));
      }
      this.#keepalive.touch();
      this.#socket.send(this.#message(stream.id, chunk), done);
    },
    // Only the client can say that a channel has ended.
    finish: (_stream: MuxStream, done: (error?: Error | null) => void) => done(),
    release: () => {},
  };

  #message(channel: number, content: Buffer): Buffer | string {
    if (this.#options.base64) return `${channel}${content.toString('base64')}`;
    return Buffer.concat([Buffer.of(channel), content]);
  }
}
