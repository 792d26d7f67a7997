import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import type { Duplex } from 'node:stream';
import { constants, createDeflate, createInflate } from 'node:zlib';
import { DICTIONARY } from '../../src/streaming/spdy/dictionary.ts';

/** What an upgrade request got instead of an upgrade. */
export class UpgradeRefused extends Error {
  readonly status: number;
  readonly response: IncomingMessage;
  readonly body: string;

  constructor(response: IncomingMessage, body: string) {
    super(`${response.statusCode}: ${body}`);
    this.status = response.statusCode ?? 0;
    this.response = response;
    this.body = body;
  }
}

/** Asks for an upgrade to SPDY/3.1; resolves with the connection and the protocol chosen. */
export function upgradeToSpdy(
  url: string,
  protocols: string,
  headers: Record<string, string> = {},
): Promise<{ transport: Duplex; protocol: string }> {
  const send = url.startsWith('https:') ? httpsRequest : httpRequest;
  const options: RequestOptions = {
    method: 'POST',
    agent: false,
    rejectUnauthorized: false,
    headers: {
      Connection: 'Upgrade',
      Upgrade: 'SPDY/3.1',
      ...(protocols && { 'X-Stream-Protocol-Version': protocols }),
      ...headers,
    },
  };
  const request = send(url, options);
  return new Promise((resolve, reject) => {
    request.once('error', reject);
    request.once('upgrade', (response, transport, head) => {
      if (head.length > 0) transport.unshift(head);
      resolve({ transport, protocol: String(response.headers['x-stream-protocol-version']) });
    });
    request.once('response', (response) => {
      let body = '';
      response.on('data', (chunk) => {
        body += chunk;
      });
      response.once('end', () => reject(new UpgradeRefused(response, body)));
    });
    request.end();
  });
}

/** The client's end of one SPDY stream. */
export class ClientStream {
  readonly id: number;
  readonly chunks: Buffer[] = [];
  readonly ended: Promise<'fin' | 'reset' | 'closed'>;
  onChunk: (() => void) | undefined;
  readonly #client: SpdyClient;
  #how: string | undefined;
  #end!: (how: 'fin' | 'reset' | 'closed') => void;

  constructor(client: SpdyClient, id: number) {
    this.#client = client;
    this.id = id;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  write(data: Buffer | string): Promise<void> {
    return this.#client.send(dataFrame(this.id, Buffer.from(data), false));
  }

  end(): Promise<void> {
    return this.#client.send(dataFrame(this.id, Buffer.alloc(0), true));
  }

  reset(): Promise<void> {
    return this.#client.send(controlFrame(3, words(this.id, 5)));
  }

  get received(): string {
    return Buffer.concat(this.chunks).toString();
  }

  /** Waits until so much has been received. */
  async until(test: (text: string) => boolean): Promise<string> {
    while (!test(this.received)) {
      if (this.#how) throw new Error(`${this.#how} after ${this.received.length} bytes`);
      await new Promise<void>((resolve) => {
        this.onChunk = resolve;
      });
    }
    return this.received;
  }

  /** All that comes until the stream, or the connection, ends. */
  async text(): Promise<string> {
    await this.ended;
    return this.received;
  }

  finish(how: 'fin' | 'reset' | 'closed'): void {
    this.#how ??= how;
    this.#end(how);
    this.onChunk?.();
  }
}

/** A SPDY/3.1 client with a compressor of its own, as plain as can be: no limits, no flow control. */
export class SpdyClient {
  readonly transport: Duplex;
  readonly closed: Promise<void>;
  readonly protocol: string;
  /** Frames of the server that are about no stream: "ping 2", "goaway 0". */
  readonly events: string[] = [];
  readonly streams = new Map<number, ClientStream>();
  readonly #deflate = createDeflate({ dictionary: DICTIONARY, flush: constants.Z_SYNC_FLUSH });
  readonly #inflate = createInflate({ dictionary: DICTIONARY, flush: constants.Z_SYNC_FLUSH });
  readonly #opening = new Map<
    number,
    { resolve(stream: ClientStream): void; reject(e: Error): void }
  >();
  #deflated: Buffer[] = [];
  #input = Buffer.alloc(0);
  #nextId = 1;
  /** Blocks are one compressed stream: they must leave in the order in which they are made. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(transport: Duplex, protocol = '') {
    this.transport = transport;
    this.protocol = protocol;
    this.#deflate.on('data', (chunk: Buffer) => this.#deflated.push(chunk));
    this.#inflate.resume();
    transport.on('data', (chunk: Buffer) => this.#take(chunk));
    transport.on('error', () => transport.destroy());
    this.closed = new Promise((resolve) => {
      const end = () => {
        for (const stream of this.streams.values()) stream.finish('closed');
        for (const each of this.#opening.values()) each.reject(new Error('connection closed'));
        resolve();
      };
      transport.once('end', () => transport.end());
      transport.once('close', end);
    });
  }

  static async connect(url: string, protocols: string): Promise<SpdyClient> {
    const { transport, protocol } = await upgradeToSpdy(url, protocols);
    return new SpdyClient(transport, protocol);
  }

  /** Opens a stream; resolves when the server takes it and rejects when it refuses. */
  async open(headers: Record<string, string>, fin = false): Promise<ClientStream> {
    const opened = this.#turn.then(() => this.#open(headers, fin));
    this.#turn = opened.catch(() => {});
    return (await opened).answer;
  }

  async #open(headers: Record<string, string>, fin: boolean) {
    const id = this.#nextId;
    this.#nextId += 2;
    const block = await this.#compress(headers);
    const answer = new Promise<ClientStream>((resolve, reject) => {
      this.#opening.set(id, { resolve, reject });
    });
    answer.catch(() => {});
    const rest = Buffer.concat([words(id, 0), Buffer.alloc(2), block]);
    await this.send(controlFrame(1, rest, fin ? 1 : 0));
    return { answer };
  }

  async #compress(headers: Record<string, string>): Promise<Buffer> {
    const parts = [words(Object.keys(headers).length)];
    for (const text of Object.entries(headers).flat()) {
      parts.push(words(Buffer.byteLength(text)), Buffer.from(text));
    }
    this.#deflated = [];
    await new Promise<void>((resolve, reject) => {
      this.#deflate.write(Buffer.concat(parts), (error) => (error ? reject(error) : resolve()));
    });
    await new Promise((resolve) => setImmediate(resolve));
    return Buffer.concat(this.#deflated);
  }

  send(bytes: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.transport.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  }

  ping(id: number): Promise<void> {
    return this.send(controlFrame(6, words(id)));
  }

  close(): void {
    this.transport.destroy();
  }

  #take(chunk: Buffer): void {
    this.#input = Buffer.concat([this.#input, chunk]);
    while (this.#input.length >= 8) {
      const length = this.#input.readUIntBE(5, 3);
      if (this.#input.length < 8 + length) return;
      const frame = this.#input.subarray(0, 8 + length);
      this.#input = this.#input.subarray(8 + length);
      this.#handle(frame);
    }
  }

  #handle(frame: Buffer): void {
    const payload = frame.subarray(8);
    const first = frame.readUInt32BE(0);
    const fin = (frame.readUInt8(4) & 1) !== 0;
    if (first < 0x8000_0000) {
      const stream = this.streams.get(first);
      if (payload.length > 0) stream?.chunks.push(payload);
      stream?.onChunk?.();
      if (fin) stream?.finish('fin');
      return;
    }
    const type = first & 0xffff;
    const id = payload.readUInt32BE(0);
    if (type === 2) this.#opened(id, payload.subarray(4));
    else if (type === 3) this.#reset(id, payload.readUInt32BE(4));
    else if (type === 6) this.events.push(`ping ${id}`);
    else if (type === 7) this.events.push(`goaway ${payload.readUInt32BE(4)}`);
    else if (type === 9) this.events.push(`window ${id} ${payload.readUInt32BE(4)}`);
    else throw new Error(`a frame of type ${type}`);
  }

  #opened(id: number, block: Buffer): void {
    const stream = new ClientStream(this, id);
    this.streams.set(id, stream);
    // The zlib of this side has to find it sound.
    this.#inflate.write(block);
    this.#opening.get(id)?.resolve(stream);
    this.#opening.delete(id);
  }

  #reset(id: number, status: number): void {
    this.streams.get(id)?.finish('reset');
    this.#opening.get(id)?.reject(new Error(`refused with status ${status}`));
    this.#opening.delete(id);
  }
}

export function words(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [i, value] of values.entries()) bytes.writeUInt32BE(value, i * 4);
  return bytes;
}

export function controlFrame(type: number, payload: Buffer, flags = 0): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt32BE(0x8003_0000 + type, 0);
  header.writeUInt32BE(payload.length, 4);
  header[4] = flags;
  return Buffer.concat([header, payload]);
}

export function dataFrame(id: number, data: Buffer, fin: boolean): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt32BE(id, 0);
  header.writeUInt32BE(data.length, 4);
  if (fin) header[4] = 1;
  return Buffer.concat([header, data]);
}
