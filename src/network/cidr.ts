/**
 * Arithmetic on IP addresses and subnets, both families, as bigints. Pure.
 *
 * Text forms: RFC 4291 §2.2 in, RFC 5952 out. An IPv4-mapped IPv6 address stays IPv6.
 */

export type Family = 4 | 6;

export interface Address {
  readonly family: Family;
  readonly value: bigint;
}

export interface Subnet {
  readonly family: Family;
  /** The lowest address: host bits are zero. */
  readonly base: bigint;
  readonly prefix: number;
}

export function bitsOf(family: Family): number {
  return family === 4 ? 32 : 128;
}

/** Undefined where the text is no address; leading zeros and zone indices are refused. */
export function parseAddress(text: string): Address | undefined {
  const family: Family = text.includes(':') ? 6 : 4;
  const value = family === 4 ? parseV4(text) : parseV6(text);
  return value === undefined ? undefined : { family, value };
}

function parseV4(text: string): bigint | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  let value = 0n;
  for (const part of parts) {
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined;
    value = (value << 8n) | BigInt(part);
  }
  return value;
}

function parseV6(text: string): bigint | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0] ?? '', halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1] ?? '', true) : [];
  if (!head || !tail) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const groups = [...head, ...Array<bigint>(missing).fill(0n), ...tail];
  return groups.reduce((value, group) => (value << 16n) | group, 0n);
}

/** Colon-separated groups; `last` allows a dotted IPv4 address at the end. */
function parseGroups(text: string, last: boolean): bigint[] | undefined {
  if (text === '') return [];
  const parts = text.split(':');
  const groups: bigint[] = [];
  for (const [i, part] of parts.entries()) {
    if (last && i === parts.length - 1 && part.includes('.')) {
      const v4 = parseV4(part);
      if (v4 === undefined) return undefined;
      groups.push(v4 >> 16n, v4 & 0xffffn);
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined;
      groups.push(BigInt(`0x${part}`));
    }
  }
  return groups;
}

export function formatAddress(address: Address): string {
  return address.family === 4 ? formatV4(address.value) : formatV6(address.value);
}

function formatV4(value: bigint): string {
  return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn).join('.');
}

function formatV6(value: bigint): string {
  const groups = Array.from({ length: 8 }, (_, i) => (value >> BigInt(112 - 16 * i)) & 0xffffn);
  if (value >> 32n === 0xffffn) return `::ffff:${formatV4(value & 0xffffffffn)}`;
  const zeros = longestZeroRun(groups);
  const hex = (from: number, to?: number) =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':');
  // A single zero group is written out (RFC 5952 §4.2.2).
  if (zeros.length < 2) return hex(0);
  return `${hex(0, zeros.start)}::${hex(zeros.start + zeros.length)}`;
}

function longestZeroRun(groups: bigint[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let length = 0;
  for (const [i, group] of groups.entries()) {
    length = group === 0n ? length + 1 : 0;
    if (length > best.length) best = { start: i - length + 1, length };
  }
  return best;
}

/** "10.88.0.0/16"; host bits are cleared. Undefined where the text is no subnet. */
export function parseSubnet(text: string): Subnet | undefined {
  const match = /^([^/]+)\/(0|[1-9]\d{0,2})$/.exec(text);
  const address = match?.[1] === undefined ? undefined : parseAddress(match[1]);
  const prefix = Number(match?.[2]);
  if (!address || prefix > bitsOf(address.family)) return undefined;
  const hostBits = BigInt(bitsOf(address.family) - prefix);
  return { family: address.family, base: (address.value >> hostBits) << hostBits, prefix };
}

export function formatSubnet(subnet: Subnet): string {
  return `${formatAddress({ family: subnet.family, value: subnet.base })}/${subnet.prefix}`;
}

/** The highest address: an IPv4 subnet's broadcast address. */
export function lastAddress(subnet: Subnet): bigint {
  return subnet.base + (1n << BigInt(bitsOf(subnet.family) - subnet.prefix)) - 1n;
}

export function contains(subnet: Subnet, address: Address): boolean {
  return (
    subnet.family === address.family &&
    address.value >= subnet.base &&
    address.value <= lastAddress(subnet)
  );
}

export function overlaps(a: Subnet, b: Subnet): boolean {
  return a.family === b.family && a.base <= lastAddress(b) && b.base <= lastAddress(a);
}

/** The first host address of a subnet, which its bridge takes. */
export function gatewayOf(subnet: Subnet): Address {
  return { family: subnet.family, value: subnet.base + 1n };
}

/**
 * The addresses that pods may have: without the network address (the subnet-router anycast
 * address in IPv6, RFC 4291 §2.6.1), the gateway and IPv4's broadcast address. `first` > `last`
 * where nothing is left.
 */
export function podRange(subnet: Subnet): { first: bigint; last: bigint } {
  const last = lastAddress(subnet) - (subnet.family === 4 ? 1n : 0n);
  return { first: subnet.base + 2n, last };
}
