import { readdirSync } from 'node:fs';
import { after } from 'node:test';
import { WebSocket } from 'ws';
import type { ExecRequest } from '../../src/streaming/backend.ts';
import {
  type StreamServer,
  type StreamServerOptions,
  serveStreams,
} from '../../src/streaming/server.ts';
import { type ClientStream, SpdyClient } from './spdy-client.ts';
import { HostBackend } from './stream-backend.ts';

/** A streaming server on processes and ports of this host, and the lines of its log. */
export class StreamFixture {
  readonly backend: HostBackend;
  readonly log: string[];
  readonly server: StreamServer;

  private constructor(backend: HostBackend, log: string[], server: StreamServer) {
    this.backend = backend;
    this.log = log;
    this.server = server;
  }

  /** It is closed after the tests of the file. */
  static async start(options: Partial<StreamServerOptions> = {}): Promise<StreamFixture> {
    const backend = new HostBackend();
    const log: string[] = [];
    const write = (_fields: object, message: string) => void log.push(message);
    const server = await serveStreams(
      { address: '127.0.0.1:0', idleTimeoutMs: 0, drainTimeoutMs: 500, ...options },
      backend,
      { debug: write, info: write, warn: write },
    );
    after(() => server.close(500));
    return new StreamFixture(backend, log, server);
  }

  /** The address of an exec of a shell script. */
  sh(script: string, choice: Partial<ExecRequest> = {}): string {
    return this.server.exec({
      containerId: 'c',
      argv: ['sh', '-c', script],
      stdin: false,
      stdout: true,
      stderr: true,
      tty: false,
      ...choice,
    });
  }

  /** Waits until nothing that the backend gave is in use any more. */
  async released(): Promise<void> {
    await eventually(() => this.backend.open === 0, 'a process or connection was not let go of');
  }
}

export async function eventually(test: () => boolean, message: string, ms = 5_000): Promise<void> {
  const end = Date.now() + ms;
  while (!test()) {
    if (Date.now() > end) throw new Error(message);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/**
 * What `read` says when it has said the same twenty times in turns of the event loop that are 15 ms
 * apart: what moved has come to rest, however busy the machine is.
 */
export async function settled<T>(read: () => T, ms = 30_000): Promise<T> {
  const end = Date.now() + ms;
  let value = read();
  for (let same = 0; same < 20; same++) {
    if (Date.now() > end) throw new Error(`still changing: ${value}`);
    await new Promise((resolve) => setTimeout(resolve, 15));
    const next = read();
    if (next !== value) same = -1;
    value = next;
  }
  return value;
}

/** Descriptors of this process. */
export function descriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

/** A connected client of an exec or attach, with its streams by name. */
export async function openCommand(url: string, types: string[], protocols = 'v4.channel.k8s.io') {
  const client = await SpdyClient.connect(url, protocols);
  const streams: ClientStream[] = [];
  for (const streamtype of ['error', ...types]) streams.push(await client.open({ streamtype }));
  const stream = (type: string) => {
    const found = streams[['error', ...types].indexOf(type)];
    if (!found) throw new Error(`there is no ${type}`);
    return found;
  };
  return { client, stream };
}

/** A WebSocket whose messages are collected by channel. */
export class ChannelClient {
  readonly socket: WebSocket;
  readonly channels = new Map<number, Buffer[]>();
  /** With its status. */
  readonly closed: Promise<number>;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    const base64 = () => socket.protocol.includes('base64');
    socket.on('message', (data: Buffer) => {
      const channel = base64() ? Number(String(data.subarray(0, 1))) : (data[0] ?? -1);
      const content = base64()
        ? Buffer.from(String(data.subarray(1)), 'base64')
        : Buffer.from(data.subarray(1));
      this.channels.set(channel, [...(this.channels.get(channel) ?? []), content]);
    });
    this.closed = new Promise((resolve) => socket.once('close', (code) => resolve(code)));
  }

  static connect(url: string, protocols: string[]): Promise<ChannelClient> {
    const options = { rejectUnauthorized: false };
    const socket = new WebSocket(url.replace(/^http/, 'ws'), protocols, options);
    const client = new ChannelClient(socket);
    return new Promise((resolve, reject) => {
      socket.once('open', () => resolve(client));
      socket.once('error', reject);
    });
  }

  send(channel: number, content: string | Buffer): void {
    if (this.socket.protocol.includes('base64')) {
      this.socket.send(`${channel}${Buffer.from(content).toString('base64')}`);
    } else this.socket.send(Buffer.concat([Buffer.of(channel), Buffer.from(content)]));
  }

  text(channel: number): string {
    return Buffer.concat(this.channels.get(channel) ?? []).toString();
  }
}
