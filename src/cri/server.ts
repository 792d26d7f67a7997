import {
  type handleServerStreamingCall,
  type handleUnaryCall,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { CoracleError } from '../errors.ts';
import type { Logger } from '../runtime/context.ts';
import type { Unary } from './call.ts';
import { codeOf, isOwnFault, toServiceError } from './errors.ts';
import { AdminServiceService } from './gen/coracle.ts';
import { ImageServiceService, RuntimeServiceService } from './gen/cri.ts';
import { claimSocket, publishSocket, type SocketPath, socketPathOf } from './socket.ts';

const MiB = 1024 * 1024;

/** What kubelet itself accepts; far above any request that makes sense. */
const MAX_RECEIVE = 16 * MiB;

/** Two capped ExecSync streams of 16 MiB fit, and the lists of a very full node. */
const MAX_SEND = 64 * MiB;

/** How long calls under way may go on after `close`, in milliseconds, unless it is told. */
const DRAIN_MS = 5_000;

/** Fields that tell which object a request is about. Others may hold credentials. */
const LOGGED_FIELDS = ['podSandboxId', 'containerId', 'runtimeHandler'] as const;

const SERVICES = [RuntimeServiceService, ImageServiceService, AdminServiceService] as const;

type Method =
  | keyof typeof RuntimeServiceService
  | keyof typeof ImageServiceService
  | keyof typeof AdminServiceService;

/** The methods that exist, by the names in the generated services; the rest is Unimplemented. */
export type Handlers<Context> = {
  // biome-ignore lint/suspicious/noExplicitAny: each method's own types are checked in handlers.ts
  readonly [Name in Method]?: Unary<any, any, Context>;
};

/** What is served. */
export interface Backend<Context> {
  readonly log: Logger;
  /** What every handler gets. Undefined until recovery is done: Unavailable till then (EX-17). */
  context(): Context | undefined;
}

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
    server.addService(service, implement(service, backend, handlers));
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

function implement<Context>(
  service: ServiceDefinition,
  backend: Backend<Context>,
  handlers: Handlers<Context>,
): UntypedServiceImplementation {
  const methods: UntypedServiceImplementation = {};
  for (const [name, definition] of Object.entries(service)) {
    const method = definition.path.slice(definition.path.lastIndexOf('/') + 1);
    const handler = handlers[name as Method];
    if (definition.responseStream) methods[name] = unimplementedStream(method);
    else methods[name] = unary(backend, method, handler ?? unimplemented(method));
  }
  return methods;
}

function unary<Context>(
  { log, context }: Backend<Context>,
  method: string,
  handler: Unary<unknown, unknown, Context>,
): handleUnaryCall<unknown, unknown> {
  return async (call, reply) => {
    const begin = performance.now();
    const about = { method, ...identify(call.request) };
    try {
      const ctx = context();
      if (ctx === undefined) {
        throw new CoracleError('Unavailable', 'the runtime is still recovering its state');
      }
      const response = await handler(ctx, call.request, signalOf(call));
      reply(null, response);
      log.debug({ ...about, ms: since(begin) }, 'call');
    } catch (error) {
      const told = { ...about, ms: since(begin), code: codeOf(error) };
      if (isOwnFault(error)) log.error({ ...told, err: error }, 'call failed');
      else log.info({ ...told, error: toServiceError(error).details }, 'call refused');
      reply(toServiceError(error));
    }
  };
}

/** Fires once the client is no longer there to hear the answer. */
function signalOf(call: ServerUnaryCall<unknown, unknown>): AbortSignal {
  const controller = new AbortController();
  const abort = () => {
    // grpc-js reports a deadline as a cancellation too.
    const late = Number(call.getDeadline()) <= Date.now();
    controller.abort(
      late
        ? new CoracleError('DeadlineExceeded', "the client's deadline has passed")
        : new CoracleError('Cancelled', 'the client cancelled the call'),
    );
  };
  if (call.cancelled) abort();
  else call.once('cancelled', abort);
  return controller.signal;
}

function unimplemented(method: string): Unary<unknown, never, unknown> {
  return async () => {
    throw notImplemented(method);
  };
}

function unimplementedStream(method: string): handleServerStreamingCall<unknown, unknown> {
  return (call) => {
    call.emit('error', toServiceError(notImplemented(method)));
  };
}

function notImplemented(method: string): CoracleError {
  return new CoracleError('Unimplemented', `${method} is not implemented`);
}

function identify(request: unknown): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  for (const name of LOGGED_FIELDS) {
    const value = (request as Record<string, unknown>)[name];
    if (value) fields[name] = value;
  }
  return fields;
}

function since(begin: number): number {
  return Math.round((performance.now() - begin) * 100) / 100;
}
