import { CoracleError } from '../errors.ts';
import type {
  AttachRequest,
  ExecRequest,
  Logger,
  PortForwardRequest,
  StreamBackend,
} from './backend.ts';
import type { Link } from './link.ts';

/** What a token stands for. */
export type Grant =
  | { kind: 'exec'; request: ExecRequest }
  | { kind: 'attach'; request: AttachRequest }
  | { kind: 'portforward'; request: PortForwardRequest };

export type CommandGrant = Exclude<Grant, { kind: 'portforward' }>;
export type ForwardGrant = Extract<Grant, { kind: 'portforward' }>;

/** What every session works with. */
export interface SessionContext {
  readonly backend: StreamBackend;
  readonly log: Logger;
  /** A connection on which nothing happens for so long is closed, ms; 0: never. */
  readonly idleMs: number;
  /** How often a connection is pinged, ms; default 30 s. */
  readonly pingMs?: number | undefined;
  /** How long output is waited for that background children of an ended process hold open, ms. */
  readonly drainMs: number;
}

/** A client that is connected. */
export interface Session {
  readonly link: Link;
  /** Resolves when the client is gone and everything that it used is let go of. */
  readonly done: Promise<void>;
  /** Ends it politely: the client is told the reason where its protocol can. */
  stop(reason: CoracleError): void;
}

/**
 * Runs a session. Its signal fires when the client is gone or the session is stopped; when `run` is
 * through, the connection is closed.
 */
export function startSession(
  link: Link,
  log: Logger,
  run: (signal: AbortSignal) => Promise<void>,
): Session {
  const controller = new AbortController();
  void link.closed.then(() =>
    controller.abort(new CoracleError('Cancelled', 'the client is gone')),
  );
  const work = async () => {
    try {
      await run(controller.signal);
    } catch (error) {
      log.warn({ err: error }, 'a streaming session failed');
    }
    link.close();
    await link.closed;
  };
  return { link, done: work(), stop: (reason) => controller.abort(reason) };
}

export function openCommand(context: SessionContext, grant: CommandGrant, signal: AbortSignal) {
  return grant.kind === 'exec'
    ? context.backend.exec(grant.request, signal)
    : context.backend.attach(grant.request, signal);
}

/** A connection to a port that the request allows. Throws InvalidArgument for others. */
export async function openPort(
  context: SessionContext,
  { request }: ForwardGrant,
  port: number,
  signal: AbortSignal,
) {
  if (request.ports.length > 0 && !request.ports.includes(port)) {
    throw new CoracleError('InvalidArgument', `port ${port} is not one that was asked for`);
  }
  return context.backend.connect(request.sandboxId, port, signal);
}

/** Resolves when the signal fires. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
