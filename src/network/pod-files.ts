/** The texts of the files that every container of a pod sees in its /etc. Pure. */
import { invalid } from '../errors.ts';
import type { DnsConfig } from '../spec/config.ts';
import { parseAddress } from './cidr.ts';

/** MAXNS of resolv.conf(5): resolvers ignore further servers without a word. */
const MAX_SERVERS = 3;
/** Kubernetes' limits of a pod's search path; resolvers older than glibc 2.26 take 6 and 256. */
const MAX_SEARCHES = 32;
const MAX_SEARCH_BYTES = 2048;
/** HOST_NAME_MAX of Linux, bytes. */
const MAX_HOSTNAME = 64;

/**
 * /etc/resolv.conf, from the pod's DNS configuration or, where that is absent or empty, from the
 * host's file. Of that, name servers on a loopback address are dropped unless the pod is on the
 * host's network, since nothing listens there inside a pod.
 *
 * @throws InvalidArgument naming the field of `dns_config` that is wrong.
 */
export function resolvConf(
  dns: DnsConfig | undefined,
  hostText: string,
  options: { hostNetwork?: boolean } = {},
): string {
  if (dns && dns.servers.length + dns.searches.length + dns.options.length > 0) {
    return ofConfig(dns);
  }
  return options.hostNetwork ? hostText : withoutLoopbackServers(hostText);
}

function ofConfig({ servers, searches, options }: DnsConfig): string {
  if (servers.length > MAX_SERVERS) {
    throw invalid('dns_config.servers', servers, `has more than ${MAX_SERVERS} servers`);
  }
  for (const server of servers) {
    // An IPv6 address may name a link: "fe80::1%eth0".
    const [ip = '', zone, ...more] = server.split('%');
    const zoneFits = zone === undefined || (ip.includes(':') && /^[\w.-]{1,15}$/.test(zone));
    if (!parseAddress(ip) || !zoneFits || more.length > 0) {
      throw invalid('dns_config.servers', server, 'is not an IP address');
    }
  }
  if (searches.length > MAX_SEARCHES || searches.join(' ').length > MAX_SEARCH_BYTES) {
    const limits = `${MAX_SEARCHES} domains or ${MAX_SEARCH_BYTES} bytes`;
    throw invalid('dns_config.searches', searches, `has more than ${limits}`);
  }
  for (const search of searches) requireWord('dns_config.searches', search);
  for (const option of options) requireWord('dns_config.options', option);
  return [
    ...(searches.length > 0 ? [`search ${searches.join(' ')}`] : []),
    ...servers.map((server) => `nameserver ${server}`),
    ...(options.length > 0 ? [`options ${options.join(' ')}`] : []),
    '',
  ].join('\n');
}

/** One printable word: anything else could smuggle further lines into the file. */
function requireWord(field: string, text: string): void {
  if (!/^[\x21-\x7e]+$/.test(text)) throw invalid(field, text, 'is not one printable word');
}

function withoutLoopbackServers(text: string): string {
  return text
    .split('\n')
    .filter((line) => {
      const server = /^\s*nameserver\s+(\S+)/.exec(line)?.[1];
      return server === undefined || !isLoopback(server);
    })
    .join('\n');
}

/** Whether a resolv.conf names only servers that a pod cannot reach, as systemd-resolved's does. */
export function namesOnlyLoopback(text: string): boolean {
  const servers = [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)].map((match) => match[1] ?? '');
  return servers.length > 0 && servers.every(isLoopback);
}

function isLoopback(server: string): boolean {
  const address = parseAddress(server.split('%')[0] ?? '');
  if (!address) return false;
  return address.family === 4 ? address.value >> 24n === 127n : address.value === 1n;
}

/**
 * /etc/hosts of a pod with a network of its own; one on the host's gets a copy of the host's.
 *
 * @throws InvalidArgument for a host name that would break the file.
 */
export function hostsFile({ ips, hostname }: { ips: readonly string[]; hostname: string }): string {
  requireHostname(hostname);
  return [
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    ...ips.map((ip) => `${ip}\t${hostname}`),
    '',
  ].join('\n');
}

/** /etc/hostname. @throws InvalidArgument for a name that sethostname(2) or a shell would not take. */
export function hostnameFile(hostname: string): string {
  requireHostname(hostname);
  return `${hostname}\n`;
}

function requireHostname(hostname: string): void {
  if (hostname.length > MAX_HOSTNAME) {
    throw invalid('hostname', hostname, `is longer than ${MAX_HOSTNAME} bytes`);
  }
  if (!/^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$/.test(hostname)) {
    throw invalid(
      'hostname',
      hostname,
      'has characters other than letters, digits, "-", "." and "_"',
    );
  }
}
