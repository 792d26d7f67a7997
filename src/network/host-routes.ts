import { readFile } from 'node:fs/promises';
import { endianness } from 'node:os';
import { formatSubnet, overlaps, parseSubnet, type Subnet } from './cidr.ts';

/** A route of the host's main table. */
export interface Route {
  readonly link: string;
  readonly destination: Subnet;
  readonly metric: number;
}

/** Ethernet's, where the host has no default route to take one from. Bytes. */
export const DEFAULT_MTU = 1500;

const RTF_UP = 0x1;
const RTF_REJECT = 0x200;

/**
 * /proc/net/route (IPv4, proc_pid_net(5)): an address is a word in network order, printed as the
 * number that the machine takes it for, so its bytes are reversed on a little-endian one.
 */
export function parseIpv4Routes(text: string, order: 'LE' | 'BE' = endianness()): Route[] {
  const routes: Route[] = [];
  for (const line of text.split('\n').slice(1)) {
    const [link, destination, , flags, , , metric, mask] = line.trim().split(/\s+/);
    if (!link || destination?.length !== 8 || !flags || !mask) continue;
    const bits = Number.parseInt(flags, 16);
    if ((bits & RTF_UP) === 0 || (bits & RTF_REJECT) !== 0) continue;
    routes.push({
      link,
      destination: {
        family: 4,
        base: networkWord(destination, order),
        prefix: popCount(Number.parseInt(mask, 16)),
      },
      metric: Number(metric),
    });
  }
  return routes;
}

/** /proc/net/ipv6_route: destination, prefix length, …, metric, …, flags, link; all hexadecimal. */
export function parseIpv6Routes(text: string): Route[] {
  const routes: Route[] = [];
  for (const line of text.split('\n')) {
    const fields = line.trim().split(/\s+/);
    const [destination, prefix, , , , metric, , , flags, link] = fields;
    if (!destination || !prefix || !metric || !flags || !link) continue;
    const bits = Number.parseInt(flags, 16);
    if ((bits & RTF_UP) === 0 || (bits & RTF_REJECT) !== 0 || link === 'lo') continue;
    routes.push({
      link,
      destination: {
        family: 6,
        base: BigInt(`0x${destination}`),
        prefix: Number.parseInt(prefix, 16),
      },
      metric: Number.parseInt(metric, 16),
    });
  }
  return routes;
}

function networkWord(hex: string, order: 'LE' | 'BE'): bigint {
  const bytes = Buffer.from(hex, 'hex');
  return BigInt(order === 'LE' ? bytes.readUInt32LE() : bytes.readUInt32BE());
}

function popCount(word: number): number {
  return word.toString(2).replaceAll('0', '').length;
}

/** The routes of this process's network namespace; a family that is absent has none. */
export async function hostRoutes(): Promise<Route[]> {
  const [v4, v6] = await Promise.all([
    readFile('/proc/self/net/route', 'utf8').catch(() => ''),
    readFile('/proc/self/net/ipv6_route', 'utf8').catch(() => ''),
  ]);
  return [...parseIpv4Routes(v4), ...parseIpv6Routes(v6)];
}

/** The default route that the kernel prefers, IPv4 before IPv6. */
export function defaultRoute(routes: readonly Route[]): Route | undefined {
  return routes
    .filter((route) => route.destination.prefix === 0)
    .sort((a, b) => a.destination.family - b.destination.family || a.metric - b.metric)[0];
}

/** The MTU of the link behind the default route, bytes. */
export async function uplinkMtu(routes: readonly Route[]): Promise<number> {
  const uplink = defaultRoute(routes)?.link;
  if (uplink === undefined) return DEFAULT_MTU;
  const text = await readFile(`/sys/class/net/${uplink}/mtu`, 'utf8').catch(() => '');
  const mtu = Number.parseInt(text, 10);
  return mtu >= 1280 && mtu <= 65535 ? mtu : DEFAULT_MTU;
}

/** Tried in this order where no subnet is configured. */
export const CANDIDATES: readonly Subnet[] = [
  '10.88.0.0/16',
  '10.89.0.0/16',
  '10.90.0.0/16',
  '10.188.0.0/16',
  '10.208.0.0/16',
  '172.29.0.0/16',
  '172.30.0.0/16',
  '192.168.188.0/22',
  '192.168.208.0/22',
].flatMap((text) => parseSubnet(text) ?? []);

/** The first candidate that no route of the host but the default one and the bridge's touches. */
export function chooseSubnet(routes: readonly Route[], bridge: string): Subnet | undefined {
  const others = routes.filter((r) => r.link !== bridge && r.destination.prefix > 0);
  return CANDIDATES.find((subnet) => !others.some((r) => overlaps(r.destination, subnet)));
}

/** Names of the routes that a subnet collides with, for messages. */
export function collisions(subnet: Subnet, routes: readonly Route[], bridge: string): string[] {
  return routes
    .filter((r) => r.link !== bridge && r.destination.prefix > 0)
    .filter((r) => overlaps(r.destination, subnet))
    .map((r) => `${formatSubnet(r.destination)} dev ${r.link}`);
}
