import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { messageOf } from '../errors.ts';
import { refuse, switchProtocols } from './http-answers.ts';
import { parsePort } from './port-forward.ts';
import {
  choose,
  offeredIn,
  SPDY_COMMAND,
  SPDY_FORWARD,
  WEBSOCKET_COMMAND,
  WEBSOCKET_FORWARD,
} from './protocols.ts';
import type { CommandGrant, ForwardGrant, Grant, Session, SessionContext } from './session.ts';
import { serveSpdyCommand, serveSpdyForward } from './spdy/serve.ts';
import { acceptWebSocket } from './websocket/accept.ts';
import { serveTunnel, serveWebSocketCommand, serveWebSocketForward } from './websocket/serve.ts';

const VERSION_HEADER = 'x-stream-protocol-version';

/** A request to switch protocols, with what its token stands for. */
export interface Upgrade {
  readonly request: IncomingMessage;
  readonly transport: Duplex;
  /** Bytes of the new protocol that came with the request. */
  readonly head: Buffer;
  readonly grant: Grant;
  /** Called once the client's wishes can be met: only then is its token used up. */
  begin(start: () => Session): void;
}

/** Why a client is not served, as HTTP says it. */
class Refusal extends Error {
  readonly status: number;
  readonly headers: Record<string, string>;

  constructor(status: number, message: string, headers: Record<string, string> = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}

/** Switches to SPDY or WebSocket, or refuses. */
export function upgrade(upgrade: Upgrade, context: SessionContext): void {
  const wanted = upgrade.request.headers.upgrade?.toLowerCase();
  try {
    if (wanted === 'websocket') toWebSocket(upgrade, context);
    else if (wanted === 'spdy/3.1') toSpdy(upgrade, context);
    else throw new Refusal(400, 'this needs an upgrade to SPDY/3.1 or to websocket');
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    refuse(upgrade.transport, error.status, error.message, error.headers);
  }
}

function toSpdy({ request, transport, head, grant, begin }: Upgrade, context: SessionContext) {
  const offered = offeredIn(request.headers[VERSION_HEADER]);
  if (offered.length === 0) throw new Refusal(400, `the header ${VERSION_HEADER} is missing`);
  const known = grant.kind === 'portforward' ? new Map([[SPDY_FORWARD, 0]]) : SPDY_COMMAND;
  const protocol = choose(offered, known);
  if (protocol === undefined) throw unknownProtocol(offered, known);
  begin(() => {
    switchProtocols(transport, { Upgrade: 'SPDY/3.1', 'X-Stream-Protocol-Version': protocol });
    if (head.length > 0) transport.unshift(head);
    if (grant.kind === 'portforward') return serveSpdyForward(transport, grant, context);
    return serveSpdyCommand(transport, grant, SPDY_COMMAND.get(protocol) ?? 1, context);
  });
}

function toWebSocket(upgrade: Upgrade, context: SessionContext): void {
  const { request, transport, head, grant, begin } = upgrade;
  const { name, serve } =
    grant.kind === 'portforward'
      ? forwardServer(request, grant, context)
      : commandServer(request, grant, context);
  acceptWebSocket(request, transport, head, name, (socket) => begin(() => serve(socket)));
}

interface SocketServer {
  /** The subprotocol. */
  readonly name: string;
  serve(socket: WebSocket): Session;
}

function commandServer(
  request: IncomingMessage,
  grant: CommandGrant,
  context: SessionContext,
): SocketServer {
  const [name, protocol] = subprotocol(request, WEBSOCKET_COMMAND);
  return { name, serve: (socket) => serveWebSocketCommand(socket, grant, protocol, context) };
}

function forwardServer(
  request: IncomingMessage,
  grant: ForwardGrant,
  context: SessionContext,
): SocketServer {
  const [name, protocol] = subprotocol(request, WEBSOCKET_FORWARD);
  if (protocol === 'tunnel')
    return { name, serve: (socket) => serveTunnel(socket, grant, context) };
  const ports = portsOf(request, grant);
  return {
    name,
    serve: (socket) => serveWebSocketForward(socket, grant, ports, protocol, context),
  };
}

/** The first of the client's subprotocols that is known, and what it means. */
function subprotocol<Meaning>(
  request: IncomingMessage,
  known: ReadonlyMap<string, Meaning>,
): [name: string, meaning: Meaning] {
  const offered = offeredIn(request.headers['sec-websocket-protocol']);
  const name = choose(offered.length === 0 ? [''] : offered, known);
  const meaning = name === undefined ? undefined : known.get(name);
  if (name === undefined || meaning === undefined) throw unknownProtocol(offered, known);
  return [name, meaning];
}

function unknownProtocol(offered: string[], known: ReadonlyMap<string, unknown>): Refusal {
  const accepted = [...known.keys()].filter((name) => name !== '').join(', ');
  const message = `none of these protocols is known: ${offered.join(', ')}; known: ${accepted}`;
  return new Refusal(403, message, { 'X-Accepted-Stream-Protocol-Versions': accepted });
}

/** Connections that one request may ask for; a channel's number is one byte. */
const MAX_PORTS = 100;

/** The ports of the request; else those that the address names, "?port=80,443&port=8080". */
function portsOf(request: IncomingMessage, grant: ForwardGrant): number[] {
  const query = new URLSearchParams(request.url?.split('?')[1] ?? '');
  const named = query.getAll('port').flatMap((list) => list.split(','));
  try {
    const ports = grant.request.ports.length > 0 ? grant.request.ports : named.map(parsePort);
    if (ports.length > 0 && ports.length <= MAX_PORTS) return ports;
  } catch (error) {
    throw new Refusal(400, messageOf(error));
  }
  throw new Refusal(400, `the address must name 1 to ${MAX_PORTS} ports: ?port=80`);
}
