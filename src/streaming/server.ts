import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { CoracleError, messageOf } from '../errors.ts';
import { parseAddress, reachableHost } from './address.ts';
import type {
  AttachRequest,
  ExecRequest,
  Logger,
  PortForwardRequest,
  StreamBackend,
} from './backend.ts';
import { refuse } from './http-answers.ts';
import type { Grant, Session } from './session.ts';
import { TOKEN_LENGTH, Tokens } from './tokens.ts';
import { upgrade } from './upgrade.ts';

export interface StreamServerOptions {
  /** "127.0.0.1:0". */
  address: string;
  /** Paths of PEM files; absent: plain HTTP. */
  tls?: { cert: string; key: string };
  /** A connection on which nothing happens for so long is closed, ms; 0: never. */
  idleTimeoutMs: number;
  /** How long output is waited for that background children of an ended process hold open, ms. */
  drainTimeoutMs: number;
  /** How often a connection is pinged, ms; default 30 s. */
  pingMs?: number;
}

/** How long a client may take to send its request, ms. */
const REQUEST_MS = 10_000;
/** Clients connected at once. */
const MAX_CONNECTIONS = 4_000;
/** How long sessions may take to say good-bye when the server closes, ms. */
const DRAIN_MS = 5_000;
/** How long the processes of broken-off sessions may take to be let go of, ms. */
const RELEASE_MS = 2_000;
/** TCP probes an idle client's host so often, ms. */
const TCP_KEEPALIVE_MS = 30_000;

/**
 * Serves the streams of exec, attach and port-forward. Each of the three calls takes a request that
 * has been checked and returns the address where its client connects: once, within a minute.
 */
export interface StreamServer {
  /** "http://127.0.0.1:41234". */
  readonly url: string;
  exec(request: ExecRequest): string;
  attach(request: AttachRequest): string;
  portForward(request: PortForwardRequest): string;
  /**
   * Takes no new clients, tells those that are connected to go, and breaks off what is still there
   * after `drainMs` milliseconds. Processes of exec end, containers go on.
   */
  close(drainMs?: number): Promise<void>;
}

/**
 * Listens for streaming clients. Unavailable where the address cannot be listened on,
 * InvalidArgument for an address, a certificate or a key that is none.
 */
export async function serveStreams(
  options: StreamServerOptions,
  backend: StreamBackend,
  log: Logger,
): Promise<StreamServer> {
  const server = await createHttp(options);
  const tokens = new Tokens<Grant>();
  const sessions = new Set<Session>();
  let closing = false;
  const context = {
    backend,
    log,
    idleMs: options.idleTimeoutMs,
    pingMs: options.pingMs,
    drainMs: options.drainTimeoutMs,
  };
  server.on('upgrade', (request: IncomingMessage, transport: Duplex, head: Buffer) => {
    transport.on('error', () => transport.destroy());
    const [kind, token] = pathOf(request);
    const grant = tokens.peek(token);
    if (closing || !grant || grant.kind !== kind) return refuse(transport, 404, 'not found');
    if (transport instanceof Socket) prepare(transport);
    const begin = (start: () => Session) => {
      tokens.consume(token);
      track(sessions, start(), grant, log);
    };
    upgrade({ request, transport, head, grant, begin }, context);
  });
  server.on(
    'request',
    answerPlain((request) => tokens.peek(pathOf(request)[1]) !== undefined),
  );
  const url = await listen(server, options);
  log.info({ url }, 'serving streams');
  const grantUrl = (grant: Grant) => {
    if (closing) throw new CoracleError('Unavailable', 'the server is shutting down');
    return `${url}/${grant.kind}/${tokens.issue(grant)}`;
  };
  return {
    url,
    exec: (request) => grantUrl({ kind: 'exec', request }),
    attach: (request) => grantUrl({ kind: 'attach', request }),
    portForward: (request) => grantUrl({ kind: 'portforward', request }),
    close: async (drainMs = DRAIN_MS) => {
      closing = true;
      server.close();
      server.closeIdleConnections();
      await endSessions(sessions, drainMs);
      server.closeAllConnections();
    },
  };
}

async function createHttp({ tls }: StreamServerOptions): Promise<Server> {
  const limits = { requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS };
  if (!tls) return createServer(limits);
  try {
    const [cert, key] = await Promise.all([readFile(tls.cert), readFile(tls.key)]);
    return createTlsServer({ ...limits, handshakeTimeout: REQUEST_MS, cert, key });
  } catch (error) {
    const what = `the streaming certificate ${tls.cert} with the key ${tls.key}`;
    const message = `${what} cannot be used: ${messageOf(error)}`;
    throw new CoracleError('InvalidArgument', message, { cause: error });
  }
}

async function listen(server: Server, { address, tls }: StreamServerOptions): Promise<string> {
  const { host, port } = parseAddress(address);
  server.maxConnections = MAX_CONNECTIONS;
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port }, () => {
        server.off('error', reject);
        resolve();
      });
    });
  } catch (error) {
    const message = `streams cannot be served on ${address}: ${messageOf(error)}`;
    throw new CoracleError('Unavailable', message, { cause: error });
  }
  const { port: actual } = server.address() as AddressInfo;
  return `${tls ? 'https' : 'http'}://${reachableHost(host)}:${actual}`;
}

/** "/exec/<token>": its two parts, empty for any other path. */
function pathOf(request: IncomingMessage): [kind: string, token: string] {
  const match = /^\/(exec|attach|portforward)\/([\w-]+)(?:\?.*)?$/.exec(request.url ?? '');
  const [, kind = '', token = ''] = match ?? [];
  return token.length === TOKEN_LENGTH ? [kind, token] : ['', ''];
}

/** Connections live long and carry keystrokes. */
function prepare(socket: Socket): void {
  socket.setTimeout(0);
  socket.setNoDelay(true);
  socket.setKeepAlive(true, TCP_KEEPALIVE_MS);
}

function answerPlain(isGranted: (request: IncomingMessage) => boolean) {
  return (request: IncomingMessage, response: ServerResponse) => {
    const granted = isGranted(request);
    response.writeHead(granted ? 400 : 404, { 'Content-Type': 'text/plain; charset=utf-8' });
    response.end(granted ? 'this needs an upgrade to SPDY/3.1 or to websocket\n' : 'not found\n');
  };
}

function track(sessions: Set<Session>, session: Session, grant: Grant, log: Logger): void {
  const { kind, request } = grant;
  const id = 'containerId' in request ? request.containerId : request.sandboxId;
  const begin = performance.now();
  log.debug({ kind, id }, 'a streaming client is connected');
  sessions.add(session);
  void session.done.then(() => {
    sessions.delete(session);
    log.debug({ kind, id, ms: Math.round(performance.now() - begin) }, 'a streaming session ended');
  });
}

async function endSessions(sessions: Set<Session>, drainMs: number): Promise<void> {
  const reason = new CoracleError('Unavailable', 'the server is shutting down');
  for (const session of sessions) session.stop(reason);
  await within(drainMs, sessions);
  for (const session of sessions) session.link.destroy();
  await within(RELEASE_MS, sessions);
}

async function within(ms: number, sessions: Set<Session>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([Promise.all([...sessions].map((each) => each.done)), late]);
  clearTimeout(timer);
}
