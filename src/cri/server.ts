import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { Backend } from './call-scope.ts';
import { tolerantService } from './decode-request.ts';
import { encodedService } from './encoded.ts';
import { AdminServiceService } from './gen/coracle.ts';
import { ImageServiceService, RuntimeServiceService } from './gen/cri.ts';
import { type Handlers, implement } from './implement.ts';
import { claimSocket, publishSocket, type SocketPath, socketPathOf } from './socket.ts';

export type { Backend } from './call-scope.ts';
export type { Handlers } from './implement.ts';

const MiB = 1024 * 1024;

/** What kubelet itself accepts; far above any request that makes sense. */
const MAX_RECEIVE = 16 * MiB;

/** Two capped ExecSync streams of 16 MiB fit, and the lists of a very full node. */
const MAX_SEND = 64 * MiB;

/** How long calls under way may go on after `close`, in milliseconds, unless it is told. */
const DRAIN_MS = 5_000;

const SERVICES = [RuntimeServiceService, ImageServiceService, AdminServiceService] as const;

export interface CriServer {
  /** The socket's path. */
  readonly path: string;
  /**
   * Takes no new calls, removes the socket, and lets calls under way end for up to `drainMs`
   * milliseconds; then they are broken off.
   */
  close(drainMs?: number): Promise<void>;
}

/**
 * Serves CRI v1 on a unix socket, mode 0660. A stale socket is replaced, one that a server answers
 * on is a FailedPrecondition.
 */
export async function serveCri<Context>(
  address: string,
  backend: Backend<Context>,
  handlers: Handlers<Context>,
): Promise<CriServer> {
  const socket = await claimSocket(socketPathOf(address));
  const server = new Server({
    'grpc.max_receive_message_length': MAX_RECEIVE,
    'grpc.max_send_message_length': MAX_SEND,
  });
  for (const service of SERVICES) {
    server.addService(
      encodedService(tolerantService(service)),
      implement(service, backend, handlers),
    );
  }
  const withdraw = await bind(server, socket);
  backend.log.info({ path: socket.path }, 'serving CRI v1');
  return {
    path: socket.path,
    close: async (drainMs = DRAIN_MS) => {
      await withdraw();
      await drain(server, drainMs);
    },
  };
}

async function bind(server: Server, socket: SocketPath): Promise<() => Promise<void>> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(`unix:${socket.bindPath}`, ServerCredentials.createInsecure(), (error) =>
        error ? reject(error) : resolve(),
      );
    });
    return await publishSocket(socket);
  } catch (error) {
    server.forceShutdown();
    throw error;
  }
}

async function drain(server: Server, drainMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([
    new Promise<void>((resolve) => server.tryShutdown(() => resolve())),
    new Promise<void>((resolve) => {
      timer = setTimeout(resolve, drainMs);
    }),
  ]);
  clearTimeout(timer);
  server.forceShutdown();
}
