import type { WebSocket } from 'ws';
import { forwardPort } from '../port-forward.ts';
import type { ChannelProtocol } from '../protocols.ts';
import type { CommandChannels } from '../remote-command.ts';
import { runCommand } from '../remote-command.ts';
import {
  aborted,
  type CommandGrant,
  type ForwardGrant,
  openCommand,
  openPort,
  type Session,
  type SessionContext,
  startSession,
} from '../session.ts';
import { serveSpdyForward } from '../spdy/serve.ts';
import { WebSocketChannels } from './channels.ts';
import { webSockets } from './load.ts';
import { answerPings } from './pings.ts';

/** stdin, stdout, stderr, error, resize: a channel's number is its place. */
const COMMAND_CHANNELS = 5;

export function serveWebSocketCommand(
  socket: WebSocket,
  grant: CommandGrant,
  protocol: ChannelProtocol,
  context: SessionContext,
): Session {
  const { log, drainMs, idleMs, pingMs } = context;
  const { version, base64 } = protocol;
  const link = new WebSocketChannels(socket, {
    channels: COMMAND_CHANNELS,
    base64,
    closeSignal: version === 5,
    idleMs,
    pingMs,
  });
  const channels = commandChannels(link, grant);
  // Older clients take the first message, which says nothing, as the sign that they are connected.
  const greeted = channels.stdout ?? channels.stderr;
  greeted?.write(Buffer.alloc(0));
  return startSession(link, log, (signal) => {
    const open = (signal: AbortSignal) => openCommand(context, grant, signal);
    const tellsExit = grant.kind === 'exec';
    return runCommand({ channels, version, drainMs, signal, log, open, tellsExit });
  });
}

function commandChannels(link: WebSocketChannels, { request }: CommandGrant): CommandChannels {
  for (let id = 0; id < COMMAND_CHANNELS; id++) {
    const stream = link.channel(id);
    stream.on('error', () => {});
    // What is sent where nobody listens must not hold the rest up.
    const heard = (id === 0 && request.stdin) || (id === 4 && request.tty);
    if (!heard) stream.resume();
  }
  return {
    stdin: request.stdin ? link.channel(0) : undefined,
    stdout: request.stdout ? link.channel(1) : undefined,
    stderr: request.stderr ? link.channel(2) : undefined,
    error: link.channel(3),
    resize: request.tty ? link.channel(4) : undefined,
  };
}

/**
 * A port-forward by channels: for the n-th port, channel 2n is its data and 2n + 1 its errors. Each
 * begins with the port as two bytes, the lower one first, and there is one connection to each.
 */
export function serveWebSocketForward(
  socket: WebSocket,
  grant: ForwardGrant,
  ports: readonly number[],
  protocol: ChannelProtocol,
  context: SessionContext,
): Session {
  const { log, idleMs, pingMs } = context;
  const { base64 } = protocol;
  const channels = ports.length * 2;
  const link = new WebSocketChannels(socket, {
    channels,
    base64,
    closeSignal: false,
    idleMs,
    pingMs,
  });
  return startSession(link, log, async (signal) => {
    // Streams are cut when the session ends: the signal is heard by ending the link.
    void aborted(signal).then(() => link.close());
    await Promise.all(
      ports.map((port, i) => {
        const [data, error] = [link.channel(2 * i), link.channel(2 * i + 1)];
        const preface = Buffer.of(port & 0xff, port >> 8);
        data.write(preface);
        error.write(preface);
        error.resume();
        const connect = (port: number, gone: AbortSignal) => openPort(context, grant, port, gone);
        return forwardPort({ port, data, error, log, connect });
      }),
    );
  });
}

/** A port-forward by SPDY in binary messages. */
export function serveTunnel(
  socket: WebSocket,
  grant: ForwardGrant,
  context: SessionContext,
): Session {
  answerPings(socket);
  return serveSpdyForward(webSockets().createWebSocketStream(socket), grant, context);
}
