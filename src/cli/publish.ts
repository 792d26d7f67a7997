import { isIPv4, isIPv6 } from 'node:net';
import { invalid } from '../errors.ts';
import type { PortMapping } from '../spec/config.ts';

const PROTOCOLS = ['tcp', 'udp', 'sctp'] as const;

/** The address of the host, in brackets for IPv6; two ports; a protocol. */
const FORM = /^(?:(?:\[([^\]]*)\]|([^:[\]]*)):)?(\d{1,5}):(\d{1,5})(?:\/([a-z]+))?$/;

/** "[ADDRESS:]HOSTPORT:PORT[/PROTOCOL]" as a host port; without an address on all of them. */
export function parsePublish(text: string): PortMapping {
  const [, ipv6, ipv4, host = '', container = '', protocolName = 'tcp'] = FORM.exec(text) ?? [];
  if (host === '') {
    throw invalid('--publish', text, 'is not of the form [ADDRESS:]HOSTPORT:PORT[/PROTOCOL]');
  }
  if ((ipv6 !== undefined && !isIPv6(ipv6)) || (ipv4 !== undefined && !isIPv4(ipv4))) {
    throw invalid('--publish', text, 'has an address that is none');
  }
  const protocol = PROTOCOLS.find((name) => name === protocolName);
  if (!protocol) throw invalid('--publish', text, `has a protocol other than ${PROTOCOLS.join()}`);
  const [hostPort, containerPort] = [Number(host), Number(container)];
  if (![hostPort, containerPort].every((port) => port >= 1 && port <= 65_535)) {
    throw invalid('--publish', text, 'has a port that is not between 1 and 65535');
  }
  return { protocol, hostPort, containerPort, hostIp: ipv6 ?? ipv4 ?? '' };
}
