import { isIP } from 'node:net';
import { CoracleError, quote } from '../errors.ts';

export interface Address {
  /** A name or an IP address, IPv6 without brackets. */
  readonly host: string;
  /** 0: one that is free. */
  readonly port: number;
}

/** Parses "host:port" or "[IPv6]:port". Throws InvalidArgument. */
export function parseAddress(text: string): Address {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]+)):(\d{1,5})$/.exec(text);
  const [, ipv6, name, digits] = match ?? [];
  const host = ipv6 ?? name;
  const port = Number(digits);
  if (host === undefined || port > 65_535 || (ipv6 !== undefined && isIP(ipv6) !== 6)) {
    throw new CoracleError('InvalidArgument', `${quote(text)} is not a HOST:PORT`);
  }
  return { host, port };
}

/** How a client on this host reaches what listens on `host`. */
export function reachableHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (isIP(host) !== 6) return host;
  return host === '::' ? '[::1]' : `[${host}]`;
}

/** Whether other hosts can read and change what is streamed on an address. */
export function isExposed({ address, tls }: { address: string; tls?: object }): boolean {
  return !tls && !isLoopback(parseAddress(address).host);
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
