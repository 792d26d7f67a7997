import type { handleUnaryCall } from '@grpc/grpc-js';
import type { Unary } from './call.ts';
import { type Backend, beginCall, recovered, signalUntil } from './call-scope.ts';
import { wellFormed } from './decode-request.ts';

/** A unary handler as grpc-js wants it. */
export function serveUnary<Context>(
  backend: Backend<Context>,
  method: string,
  handler: Unary<unknown, unknown, Context>,
): handleUnaryCall<unknown, unknown> {
  return async (call, reply) => {
    const scope = beginCall(backend, method, call.request);
    const { signal, over } = signalUntil(call);
    try {
      const response = await handler(recovered(backend), wellFormed(call.request), signal);
      reply(null, response);
      scope.done();
    } catch (error) {
      reply(scope.failed(error));
    } finally {
      over();
    }
  };
}
