import { invalid } from '../errors.ts';
import type { PortMapping } from '../spec/config.ts';
import { formatAddress, parseAddress } from './cidr.ts';
import type { HostPort } from './index.ts';

const PROTOCOLS: readonly string[] = ['tcp', 'udp', 'sctp'];

/**
 * The host ports among a pod's port mappings, addresses in their canonical form. A mapping without
 * a host port only says what the pod listens on. What is asked for twice is there once. Pure.
 *
 * @throws InvalidArgument naming the mapping that is malformed, or that gives a port which an
 *   earlier one has given to another port of the pod.
 */
export function hostPortsOf(mappings: readonly PortMapping[]): HostPort[] {
  const ports: HostPort[] = [];
  for (const [i, mapping] of mappings.entries()) {
    if (mapping.hostPort === 0) continue;
    const field = `port_mappings[${i}]`;
    const port = { ...mapping, hostIp: canonical(`${field}.host_ip`, mapping.hostIp) };
    requirePort(`${field}.host_port`, port.hostPort);
    requirePort(`${field}.container_port`, port.containerPort);
    if (!PROTOCOLS.includes(port.protocol)) {
      throw invalid(`${field}.protocol`, port.protocol, `is not one of ${PROTOCOLS.join(', ')}`);
    }
    const other = ports.find((each) => sharesHostPort(each, port));
    if (!other) ports.push(port);
    else if (other.hostIp !== port.hostIp || other.containerPort !== port.containerPort) {
      throw invalid(`${field}.host_port`, port.hostPort, 'is given to two ports of the pod');
    }
  }
  return ports;
}

/** Whether a packet could be meant for both. An absent address is every address. */
export function sharesHostPort(a: HostPort, b: HostPort): boolean {
  return (
    a.hostPort === b.hostPort && a.protocol === b.protocol && addressesOverlap(a.hostIp, b.hostIp)
  );
}

/** "tcp 192.0.2.1:8080", as messages name it. */
export function describeHostPort({ protocol, hostIp, hostPort }: HostPort): string {
  const ip = hostIp.includes(':') ? `[${hostIp}]` : hostIp;
  return `${protocol} ${ip === '' ? 'port ' : `${ip}:`}${hostPort}`;
}

function addressesOverlap(a: string, b: string): boolean {
  if (a === b || a === '' || b === '') return true;
  if (a.includes(':') !== b.includes(':')) return false;
  return isUnspecified(a) || isUnspecified(b);
}

/** Every address of one family. */
export function isUnspecified(hostIp: string): boolean {
  return hostIp === '0.0.0.0' || hostIp === '::';
}

function canonical(field: string, text: string): string {
  if (text === '') return '';
  const address = parseAddress(text);
  if (!address) throw invalid(field, text, 'is not an IP address');
  return formatAddress(address);
}

function requirePort(field: string, port: number): void {
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw invalid(field, port, 'is not between 1 and 65535');
  }
}
