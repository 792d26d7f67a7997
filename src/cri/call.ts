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
