/** What unary and streaming calls share: the recovery gate, the signal, the log line. */
import { setMaxListeners } from 'node:events';
import {
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { CoracleError } from '../errors.ts';
import type { Logger } from '../runtime/context.ts';
import { codeOf, isOwnFault, toServiceError } from './errors.ts';

/** Fields that tell which object a request is about. Others may hold credentials. */
const LOGGED_FIELDS = ['podSandboxId', 'containerId', 'runtimeHandler'] as const;

/** An id has 64 characters; what is longer is none, and would only fill the log. */
const LONGEST_ID = 128;

/** A call that is over: its method, its status as "OK" or "NOT_FOUND", and how long it took. */
export type Called = (method: string, code: string, seconds: number) => void;

/** What is served. */
export interface Backend<Context> {
  readonly log: Logger;
  /** What every handler gets. Undefined until recovery is done: Unavailable till then (EX-17). */
  context(): Context | undefined;
  /** Told of every call, for metrics. */
  readonly called?: Called;
}

/** A call while it is under way. */
export interface CallScope {
  done(fields?: object): void;
  /** The status that the client gets. Faults of our own are logged with their stack. */
  failed(error: unknown, fields?: object): ServiceError;
}

export function beginCall(
  { log, called }: Pick<Backend<unknown>, 'log' | 'called'>,
  method: string,
  request: unknown,
): CallScope {
  const begin = performance.now();
  const about = { method, ...identify(request) };
  const over = (code: status) => {
    const ms = since(begin);
    called?.(method, status[code], ms / 1000);
    return ms;
  };
  return {
    done: (fields) => log.debug({ ...about, ...fields, ms: over(status.OK) }, 'call'),
    failed: (error, fields) => {
      const code = codeOf(error);
      const told = { ...about, ...fields, ms: over(code), code };
      const answer = toServiceError(error);
      if (isOwnFault(error)) log.error({ ...told, err: error }, 'call failed');
      else log.info({ ...told, error: answer.details }, 'call refused');
      return answer;
    },
  };
}

/** What handlers work on. Throws Unavailable until recovery is done. */
export function recovered<Context>(backend: Backend<Context>): Context {
  const ctx = backend.context();
  if (ctx === undefined) {
    throw new CoracleError('Unavailable', 'the runtime is still recovering its state');
  }
  return ctx;
}

/** How long a request may have been on its way. */
const DEADLINE_LAG_MS = 250;

export interface Cancellation {
  /** Fires once the client is no longer there to hear the answer. */
  readonly signal: AbortSignal;
  /** To be called once there is one: grpc-js cancels calls that have ended, too. */
  over(): void;
}

export function cancellation(
  call: ServerUnaryCall<unknown, unknown> | ServerWritableStream<unknown, unknown>,
): Cancellation {
  const controller = new AbortController();
  // The removal of a pod waits for each of its containers at once: many listeners are no leak.
  setMaxListeners(0, controller.signal);
  const abort = () => {
    // grpc-js reports a deadline as a cancellation too. The client's clock for it has run since
    // before the request got here: it may break the call off while ours still runs.
    const late = Number(call.getDeadline()) - Date.now() <= DEADLINE_LAG_MS;
    controller.abort(
      late
        ? new CoracleError('DeadlineExceeded', "the client's deadline has passed")
        : new CoracleError('Cancelled', 'the client cancelled the call'),
    );
  };
  if (call.cancelled) abort();
  else call.once('cancelled', abort);
  return { signal: controller.signal, over: () => call.off('cancelled', abort) };
}

function identify(request: unknown): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  for (const name of LOGGED_FIELDS) {
    const value = (request as Record<string, unknown>)[name];
    if (typeof value === 'string' && value !== '') fields[name] = value.slice(0, LONGEST_ID);
  }
  return fields;
}

function since(begin: number): number {
  return Math.round((performance.now() - begin) * 100) / 100;
}
