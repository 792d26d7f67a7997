import { readFile, writeFile } from 'node:fs/promises';
import { messageOf } from '../errors.ts';
import { defaultRoute, type Route } from './host-routes.ts';

const IPV4_FORWARD = '/proc/sys/net/ipv4/ip_forward';
const IPV6_CONF = '/proc/sys/net/ipv6/conf';

export interface HostSysctls {
  /** The bridge, which exists. */
  readonly bridge: string;
  /** Whether pods have IPv6 addresses that the host must forward. */
  readonly ipv6: boolean;
  readonly routes: readonly Route[];
}

/**
 * Makes the host forward packets, which outbound traffic of pods needs, and deaf to what pods
 * claim to be routers: one that sends an advertisement would become the host's IPv6 router
 * (CVE-2020-10749). The bridge's link-local address is not checked for duplicates, since until that
 * is over the host finds no neighbour on it. Forwarding stays on for good: what else on the host
 * has come to rely on it meanwhile nobody knows.
 *
 * @returns the reasons for what could not be done.
 */
export async function setHostSysctls({ bridge, ipv6, routes }: HostSysctls): Promise<string[]> {
  return [
    ...(await attempt('IP forwarding is off, pods reach the host and each other only', async () => {
      await ensure(IPV4_FORWARD, '1');
      if (ipv6) await enableIpv6Forwarding(routes);
    })),
    ...(await attempt('the host listens to router advertisements of pods', () =>
      ensureIpv6(bridge, 'accept_ra', '0'),
    )),
    ...(await attempt('IPv6 of pods works a second late', () =>
      ensureIpv6(bridge, 'accept_dad', '0'),
    )),
  ];
}

async function attempt(consequence: string, action: () => Promise<void>): Promise<string[]> {
  try {
    await action();
    return [];
  } catch (error) {
    return [`${consequence}: ${messageOf(error)}`];
  }
}

/**
 * Lets the bridge route packets from 127.0.0.0/8 (kernel, networking/ip-sysctl: route_localnet),
 * which otherwise never leave the loopback interface. Stopping that where the bridge is gone is no
 * error.
 */
export async function routeLoopback(bridge: string, on: boolean): Promise<void> {
  const file = `/proc/sys/net/ipv4/conf/${bridge}/route_localnet`;
  try {
    await ensure(file, on ? '1' : '0');
  } catch (error) {
    if (on || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
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

/** Sets a link's sysctl; a host without IPv6 has no such file. */
async function ensureIpv6(link: string, name: string, value: string): Promise<void> {
  try {
    await ensure(`${IPV6_CONF}/${link}/${name}`, value);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** Reads first: /proc/sys is often read-only where the value is right already. */
async function ensure(file: string, value: string): Promise<void> {
  if ((await readFile(file, 'utf8')).trim() !== value) await writeFile(file, value);
}
