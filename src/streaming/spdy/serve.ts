import type { Duplex } from 'node:stream';
import type { CommandVersion } from '../command-status.ts';
import { forwardPort } from '../port-forward.ts';
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
import { CommandStreams } from './command-streams.ts';
import { SpdyConnection, type SpdyOptions } from './connection.ts';
import { ForwardStreams } from './forward-streams.ts';

/** An exec or attach on a connection that has been switched to SPDY. */
export function serveSpdyCommand(
  transport: Duplex,
  grant: CommandGrant,
  version: CommandVersion,
  context: SessionContext,
): Session {
  const { log, drainMs } = context;
  const streams = new CommandStreams(grant.request, version);
  const connection = open(transport, context, (headers) => streams.accept(headers));
  return startSession(connection, log, async (signal) => {
    const channels = await streams.wait(aborted(signal));
    if (!channels) return;
    const open = (signal: AbortSignal) => openCommand(context, grant, signal);
    const tellsExit = grant.kind === 'exec';
    await runCommand({ channels, version, drainMs, signal, log, open, tellsExit });
  });
}

/** A port-forward on a connection that has been switched to SPDY, or is a tunnel of it. */
export function serveSpdyForward(
  transport: Duplex,
  grant: ForwardGrant,
  context: SessionContext,
): Session {
  const { log } = context;
  const running = new Set<Promise<void>>();
  const streams = new ForwardStreams((pair) => {
    const connect = (port: number, signal: AbortSignal) => openPort(context, grant, port, signal);
    const forward = forwardPort({ ...pair, log, connect });
    running.add(forward);
    void forward.finally(() => running.delete(forward));
  });
  const connection = open(transport, context, (headers, id) => streams.accept(headers, id));
  const session = startSession(connection, log, aborted);
  // Closing the connection cuts the streams, which ends what runs on them.
  const done = session.done.then(async () => {
    await Promise.all(running);
  });
  return { ...session, done };
}

function open(
  transport: Duplex,
  { idleMs, pingMs, log }: SessionContext,
  accept: SpdyOptions['accept'],
): SpdyConnection {
  const onFailure = (err: Error) => log.info({ err }, 'a client broke the SPDY protocol');
  return new SpdyConnection(transport, { accept, idleMs, pingMs, onFailure });
}
