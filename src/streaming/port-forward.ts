import type { Duplex, Writable } from 'node:stream';
import { CoracleError, messageOf, quote } from '../errors.ts';
import type { Logger } from './backend.ts';
import { flush, written } from './flush.ts';
import { Pump } from './pump.ts';

/**
 * How long one direction of a forwarded connection may be silent once the other has ended, ms
 * (XS-11). A server that never closes would keep both for ever otherwise.
 */
const GRACE_MS = 1_000;

/** A client's pair of streams for one forwarded connection. */
export interface ForwardSession {
  readonly port: number;
  readonly data: Duplex;
  readonly error: Writable;
  readonly log: Logger;
  connect(port: number, signal: AbortSignal): Promise<Duplex>;
}

/**
 * Forwards one connection to a port of a pod until both directions have ended. Never rejects.
 *
 * The error stream tells why there is no connection. One that breaks later ends the data stream
 * alone: kubectl takes any error as a reason to give up all its other connections as well.
 */
export async function forwardPort(session: ForwardSession): Promise<void> {
  const { data, error, port, log } = session;
  data.on('error', () => {});
  error.on('error', () => {});
  const gone = new AbortController();
  data.once('close', () => gone.abort(new CoracleError('Cancelled', 'the client is gone')));
  let message = '';
  try {
    const pod = await session.connect(port, gone.signal);
    pod.on('error', (err) => log.debug({ port, err }, 'a forwarded connection broke'));
    await copyBothWays(data, pod).finally(() => pod.destroy());
  } catch (failure) {
    message = `forwarding port ${port}: ${messageOf(failure)}`;
    log.debug({ port, err: failure }, 'a port could not be forwarded');
  }
  await flush(error, message);
  // Streams of which both sides have said that they are done are closed already.
  data.destroy();
  error.destroy();
}

/** A client that is gone has its data stream destroyed, which ends both directions. */
async function copyBothWays(data: Duplex, pod: Duplex): Promise<void> {
  const up = new Pump(data, pod);
  const down = new Pump(pod, data);
  // Half-close: the side that still talks can go on.
  const uploaded = up.done.then((end) => {
    if (end.kind === 'ended') pod.end();
    return { end, other: down };
  });
  const downloaded = down.done.then((end) => {
    if (end.kind === 'ended') data.end();
    return { end, other: up };
  });
  const first = await Promise.race([uploaded, downloaded]);
  // A pod's server that breaks off may have answered before.
  if (first.end.kind !== 'ended') return written(data);
  await first.other.finish(GRACE_MS);
  // What the pod sent last is still on its way to the client, whose pace it is.
  if ((await down.done).kind === 'ended') await flush(data);
}

/** The number of a port as clients write it. Throws InvalidArgument. */
export function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port >= 1 && port <= 65_535) return port;
  throw new CoracleError('InvalidArgument', `port: ${quote(text)} is not a port`);
}
