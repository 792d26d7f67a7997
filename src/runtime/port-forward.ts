import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { CoracleError, invalid } from '../errors.ts';
import { isNativeError } from '../native/addon.ts';
import type { RuntimeContext } from './context.ts';
import { withSignal } from './deferred.ts';
import type { PodMonitor } from './monitors.ts';
import { requireReadySandbox } from './preconditions.ts';

const SOCK_STREAM = 1;

/** What "localhost" means in a pod, in the order in which it is tried (XS-11). */
const LOOPBACKS = [
  { domain: 2, address: '127.0.0.1' }, // AF_INET
  { domain: 10, address: '::1' }, // AF_INET6
];

/** A pod's own loopback answers at once, unless a firewall in the pod drops the packets. */
const CONNECT_MS = 10_000;

/**
 * A TCP connection to a port inside a pod's network namespace, or the host's where that is the
 * pod's. Either direction may be ended alone. Throws NotFound; InvalidArgument; FailedPrecondition
 * where the pod is not ready; Unavailable where nobody listens.
 */
export async function openPortForward(
  ctx: RuntimeContext,
  sandboxId: string,
  port: number,
  signal?: AbortSignal,
): Promise<Duplex> {
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw invalid('port', port, 'is no port from 1 to 65535');
  }
  const { monitor } = requireReadySandbox(ctx, sandboxId);
  const failures: string[] = [];
  for (const { domain, address } of LOOPBACKS) {
    try {
      const fd = await connect(ctx, monitor, domain, address, port, signal);
      const socket = new Socket({ fd, allowHalfOpen: true, readable: true, writable: true });
      return socket.setNoDelay(true);
    } catch (error) {
      if (!isNativeError(error)) throw error;
      failures.push(`${address}: ${error.code}`);
    }
  }
  throw new CoracleError(
    'Unavailable',
    `nothing accepts connections to port ${port} of sandbox ${sandboxId} (${failures.join(', ')})`,
  );
}

async function connect(
  ctx: RuntimeContext,
  monitor: PodMonitor,
  domain: number,
  address: string,
  port: number,
  signal?: AbortSignal,
): Promise<number> {
  const making = monitor.connection.socket(domain, SOCK_STREAM, 0);
  const fd = await withSignal(making, signal).catch((error: unknown) => {
    if (signal?.aborted) making.then(closeSync, () => {});
    throw error;
  });
  try {
    await withSignal(ctx.addon.connectSocket(fd, address, port, CONNECT_MS), signal);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
