/** The nftables table of host ports, as text. Pure. */
import { formatSubnet, type Subnet } from './cidr.ts';
import { isUnspecified } from './host-port-list.ts';
import type { HostPort } from './index.ts';
import { tableName } from './masquerade.ts';

/** The ports of one pod and where they lead. */
export interface OpenPorts {
  readonly hostPorts: readonly HostPort[];
  /** The pod's addresses, at most one of each family. */
  readonly ips: readonly string[];
}

export interface HostPortSpec {
  readonly bridge: string;
  readonly subnets: readonly Subnet[];
  readonly open: Iterable<OpenPorts>;
}

/** A slash keeps it apart from the tables of all bridges, whose names have none. */
export function portTable(bridge: string): string {
  return `table inet ${tableName(bridge)}/ports`;
}

/** The element of one of the table's maps that leads a host port to a pod. */
interface Element {
  /** bound4 and bound6 hold ports of one of the host's addresses, any4 and any6 those of all. */
  readonly map: string;
  readonly key: string;
  readonly value: string;
}

function elements({ hostPorts, ips }: OpenPorts): Element[] {
  return hostPorts.flatMap(({ protocol, hostIp, hostPort, containerPort }) =>
    ips.flatMap((ip) => {
      const family = ip.includes(':') ? 6 : 4;
      if (hostIp !== '' && (hostIp.includes(':') ? 6 : 4) !== family) return [];
      const any = hostIp === '' || isUnspecified(hostIp);
      const port = `${protocol} . ${hostPort}`;
      return {
        map: `${any ? 'any' : 'bound'}${family}`,
        key: any ? port : `${hostIp} . ${port}`,
        value: `${ip} . ${containerPort}`,
      };
    }),
  );
}

/** One line of an nft script for each element. */
export function addLines(bridge: string, ports: OpenPorts): string[] {
  return elements(ports).map(
    ({ map, key, value }) =>
      `add element ${portTable(bridge).slice(6)} ${map} { ${key} : ${value} }`,
  );
}

export function deleteLines(bridge: string, ports: OpenPorts): string[] {
  return elements(ports).map(
    ({ map, key }) => `delete element ${portTable(bridge).slice(6)} ${map} { ${key} }`,
  );
}

/** Removes the table; that it is missing is no error. */
export function removeScript(bridge: string): string {
  const table = portTable(bridge);
  return `${table}\ndelete ${table}\n`;
}

/**
 * The script that makes the table, or replaces it. A port is found by one look-up in a map,
 * however many pods there are.
 *
 * - `guard`: to reach a pod from 127.0.0.1 the bridge must route loopback addresses
 *   (route_localnet), and what is rewritten here is no longer a "martian" to the kernel. So nothing
 *   that comes over a wire may claim to be for 127.0.0.0/8 (CVE-2020-8558).
 * - `ports` leaves ::1 alone: nothing can carry a packet from there to another link, so that
 *   a refused connection is better than a lost one.
 * - `postrouting`: a pod that reaches a pod (or itself) over the host must see the answer come
 *   from the host, and 127.0.0.1 is no address to answer to.
 */
export function hostPortRuleset({ bridge, subnets, open }: HostPortSpec): string {
  const table = portTable(bridge);
  const lines = [...open].flatMap((ports) => addLines(bridge, ports));
  const hairpins = subnets.map((subnet) => {
    const ip = subnet.family === 4 ? 'ip' : 'ip6';
    return `    oifname "${bridge}" ${ip} saddr ${formatSubnet(subnet)} ct status dnat masquerade`;
  });
  return `${removeScript(bridge)}${table} {
  map bound4 { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }
  map bound6 { type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; }
  map any4 { type inet_proto . inet_service : ipv4_addr . inet_service; }
  map any6 { type inet_proto . inet_service : ipv6_addr . inet_service; }
  chain guard {
    type filter hook prerouting priority raw; policy accept;
    iifname != "lo" ip daddr 127.0.0.0/8 drop
  }
  chain ports {
    dnat ip to ip daddr . meta l4proto . th dport map @bound4
    meta nfproto ipv4 dnat ip to meta l4proto . th dport map @any4
    ip6 daddr ::1 return
    dnat ip6 to ip6 daddr . meta l4proto . th dport map @bound6
    meta nfproto ipv6 dnat ip6 to meta l4proto . th dport map @any6
  }
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    meta l4proto { tcp, udp, sctp } fib daddr type local jump ports
  }
  chain output {
    type nat hook output priority -100; policy accept;
    meta l4proto { tcp, udp, sctp } fib daddr type local jump ports
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
${hairpins.join('\n')}
    oifname "${bridge}" ip saddr 127.0.0.0/8 masquerade
  }
}
${lines.join('\n')}
`;
}
