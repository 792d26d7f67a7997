/** The protocols that clients may ask for, and the choice among them. */
import type { CommandVersion } from './command-status.ts';

/** Of exec and attach over SPDY, in X-Stream-Protocol-Version. */
export const SPDY_COMMAND: ReadonlyMap<string, CommandVersion> = new Map([
  ['v4.channel.k8s.io', 4],
  ['v3.channel.k8s.io', 3],
  ['v2.channel.k8s.io', 2],
  ['channel.k8s.io', 1],
]);

/** Of port-forward over SPDY. */
export const SPDY_FORWARD = 'portforward.k8s.io';

export interface ChannelProtocol {
  readonly version: CommandVersion;
  readonly base64: boolean;
}

const binary = (version: CommandVersion): ChannelProtocol => ({ version, base64: false });
const base64 = (version: CommandVersion): ChannelProtocol => ({ version, base64: true });

/** Subprotocols of exec and attach over WebSocket; the empty one is a client that names none. */
export const WEBSOCKET_COMMAND: ReadonlyMap<string, ChannelProtocol> = new Map([
  ['v5.channel.k8s.io', binary(5)],
  ['v4.channel.k8s.io', binary(4)],
  ['v3.channel.k8s.io', binary(3)],
  ['v2.channel.k8s.io', binary(2)],
  ['v1.channel.k8s.io', binary(1)],
  ['channel.k8s.io', binary(1)],
  ['v4.base64.channel.k8s.io', base64(4)],
  ['base64.channel.k8s.io', base64(1)],
  ['', binary(1)],
]);

/** SPDY inside of the binary messages of a WebSocket (KEP-4006). */
export const TUNNEL = `SPDY/3.1+${SPDY_FORWARD}`;

/** Subprotocols of port-forward over WebSocket. */
export const WEBSOCKET_FORWARD: ReadonlyMap<string, ChannelProtocol | 'tunnel'> = new Map<
  string,
  ChannelProtocol | 'tunnel'
>([
  [TUNNEL, 'tunnel'],
  ['v4.channel.k8s.io', binary(4)],
  ['v4.base64.channel.k8s.io', base64(4)],
  ['', binary(4)],
]);

/** The names in a header that lists them, in the client's order of preference. */
export function offeredIn(header: string | string[] | undefined): string[] {
  const text = Array.isArray(header) ? header.join(',') : (header ?? '');
  return text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

/** The first offer that is known. */
export function choose(
  offered: Iterable<string>,
  known: ReadonlyMap<string, unknown>,
): string | undefined {
  for (const name of offered) if (known.has(name)) return name;
  return undefined;
}
