import { CoracleError } from '../errors.ts';
import type { RuntimeContext } from '../runtime/context.ts';
import { openAttach, openExecStreams, openPortForward } from '../runtime/streams.ts';
import type { StreamBackend } from '../streaming/backend.ts';

/** The containers and pods of a runtime, which may not be open yet, to be streamed from and to. */
export function streamBackend(runtime: () => RuntimeContext | undefined): StreamBackend {
  const open = () => {
    const ctx = runtime();
    if (ctx) return ctx;
    throw new CoracleError('Unavailable', 'the runtime is still recovering its state');
  };
  return {
    exec: async ({ containerId, ...request }, signal) =>
      openExecStreams(open(), containerId, request, signal),
    attach: async ({ containerId, ...request }, signal) =>
      openAttach(open(), containerId, request, signal),
    connect: async (sandboxId, port, signal) => openPortForward(open(), sandboxId, port, signal),
  };
}
