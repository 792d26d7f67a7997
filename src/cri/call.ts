import type { RuntimeContext } from '../runtime/context.ts';

/**
 * One unary RPC. It throws CoracleErrors; `server.ts` turns them into gRPC statuses.
 *
 * `signal` fires when the client cancels, goes away or its deadline passes. Its reason is a
 * CoracleError of kind Cancelled or DeadlineExceeded.
 */
export type Unary<Request, Response, Context = RuntimeContext> = (
  ctx: Context,
  request: Request,
  signal: AbortSignal,
) => Promise<Response>;

/**
 * One server-streaming RPC, mostly an async generator. It yields responses and throws CoracleErrors;
 * returning ends the stream with OK.
 *
 * The next response is asked for once the client's connection has room for it, so a handler that
 * must not wait for slow clients keeps a bounded buffer of its own, or only the newest (`Latest`).
 * A wait of its own has to end when `signal` fires, for the reasons that `Unary` names.
 */
export type ServerStreaming<Request, Response, Context = RuntimeContext> = (
  ctx: Context,
  request: Request,
  signal: AbortSignal,
) => AsyncIterable<Response>;
