import { CoracleError, invalid } from '../errors.ts';
import type { RuntimeContext } from '../runtime/context.ts';
import type { StreamChoice } from '../streaming/backend.ts';
import type { StreamServer } from '../streaming/server.ts';

/** The streams that an Exec or Attach asks for. Kubernetes' API has the same two rules. */
export function streamChoice({ stdin, stdout, stderr, tty }: StreamChoice): StreamChoice {
  if (!stdin && !stdout && !stderr) {
    throw invalid('stdin, stdout, stderr', false, 'one of them must be set');
  }
  if (tty && stderr) {
    throw invalid('stderr', stderr, 'must not be set with tty: a terminal has one output');
  }
  return { stdin, stdout, stderr, tty };
}

export function streamServer(ctx: RuntimeContext): StreamServer {
  if (ctx.streaming) return ctx.streaming;
  throw new CoracleError('Unavailable', 'there is no streaming server');
}
