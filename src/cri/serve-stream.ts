import { once } from 'node:events';
import type { handleServerStreamingCall, ServerWritableStream } from '@grpc/grpc-js';
import { abortError, throwIfAborted } from '../errors.ts';
import type { ServerStreaming } from './call.ts';
import { type Backend, beginCall, cancellation, recovered } from './call-scope.ts';
import { wellFormed } from './decode-request.ts';

/** A server-streaming handler as grpc-js wants it. */
export function serveStream<Context>(
  backend: Backend<Context>,
  method: string,
  handler: ServerStreaming<unknown, unknown, Context>,
): handleServerStreamingCall<unknown, unknown> {
  return async (call) => {
    const scope = beginCall(backend, method, call.request);
    const { signal, over } = cancellation(call);
    let messages = 0;
    try {
      const request = wellFormed(call.request);
      for await (const message of handler(recovered(backend), request, signal)) {
        await send(call, message, signal);
        messages += 1;
      }
      call.end();
      scope.done({ messages });
    } catch (error) {
      // What was sent before goes out first; for a client that has gone this is a no-op.
      call.emit('error', scope.failed(error, { messages }));
    } finally {
      over();
    }
  };
}

/** Resolves when the stream takes the next message; nothing drains for a client that has gone. */
async function send(
  call: ServerWritableStream<unknown, unknown>,
  message: unknown,
  signal: AbortSignal,
): Promise<void> {
  throwIfAborted(signal);
  if (call.write(message)) return;
  await once(call, 'drain', { signal }).catch(() => {
    throw abortError(signal);
  });
}
