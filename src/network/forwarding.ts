import { readFile, writeFile } from 'node:fs/promises';
import { messageOf } from '../errors.ts';
import { defaultRoute, type Route } from './host-routes.ts';

const IPV4_FORWARD = '/proc/sys/net/ipv4/ip_forward';
const IPV6_CONF = '/proc/sys/net/ipv6/conf';

/**
 * Makes the host forward packets, which outbound traffic of pods needs. It stays on: what else on
 * the host has come to rely on it meanwhile nobody knows.
 *
 * @returns '' or, where it cannot be done, the reason.
 */
export async function enableForwarding(ipv6: boolean, routes: readonly Route[]): Promise<string> {
  try {
    await ensure(IPV4_FORWARD, '1');
    if (ipv6) await enableIpv6Forwarding(routes);
    return '';
  } catch (error) {
    return `IP forwarding is off, pods reach the host and each other only: ${messageOf(error)}`;
  }
}

/**
 * A forwarding host ignores router advertisements unless accept_ra is 2 (kernel,
 * networking/ip-sysctl), so a host that got its default route from one would lose it.
 */
async function enableIpv6Forwarding(routes: readonly Route[]): Promise<void> {
  const uplink = defaultRoute(routes.filter((r) => r.destination.family === 6))?.link;
  if (uplink !== undefined) {
    const file = `${IPV6_CONF}/${uplink}/accept_ra`;
    if ((await readFile(file, 'utf8')).trim() === '1') await writeFile(file, '2');
  }
  await ensure(`${IPV6_CONF}/all/forwarding`, '1');
}

/** Reads first: /proc/sys is often read-only where the value is right already. */
async function ensure(file: string, value: string): Promise<void> {
  if ((await readFile(file, 'utf8')).trim() !== value) await writeFile(file, value);
}
