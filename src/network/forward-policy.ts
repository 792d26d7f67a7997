import { access, readFile } from 'node:fs/promises';
import { tableName } from './masquerade.ts';
import { nft, type Spawner } from './nft.ts';

/** There where iptables' older back end is in use: one table a line. */
const LEGACY_TABLES = '/proc/net/ip_tables_names';
const LEGACY_IPTABLES = ['/usr/sbin/iptables-legacy', '/sbin/iptables-legacy'];

/** Where Docker lets others put their rules, ahead of its own. */
const DOCKER_USER = 'DOCKER-USER';

interface Chain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  readonly hook?: string;
  readonly policy?: string;
}

/**
 * Whether another firewall of this host drops what pods send beyond it: an `accept` of ours counts
 * in our table only. A chain that names the bridge is taken to let it through.
 *
 * @returns '' or which chain it is and what helps. What cannot be found out is ''.
 */
export async function forwardingBlocked(addon: Spawner, bridge: string): Promise<string> {
  const [modern, legacy] = await Promise.all([
    nftBlocks(addon, bridge),
    legacyBlocks(addon, bridge),
  ]);
  const chains = [...modern, ...legacy];
  if (chains.length === 0) return '';
  return (
    `another firewall drops forwarded packets (${chains.join(', ')}): ` +
    `have it accept what comes from and goes to ${bridge}`
  );
}

async function nftBlocks(addon: Spawner, bridge: string): Promise<string[]> {
  const chains = parseChains((await nft(addon, ['-j', 'list', 'chains'])).stdout);
  const own = tableName(bridge);
  const forward = chains.filter(({ hook, table }) => hook === 'forward' && table !== own);
  const blocked: string[] = [];
  for (const chain of forward) {
    const sameTable = (c: Chain) => c.family === chain.family && c.table === chain.table;
    const user = chains.find((c) => sameTable(c) && c.name === DOCKER_USER);
    const texts = await Promise.all(
      [chain, ...(user ? [user] : [])].map((c) => listChain(addon, c)),
    );
    if (texts.some((text) => text.includes(`"${bridge}"`))) continue;
    if (chain.policy === 'drop' || endsInDrop(texts[0] ?? '')) {
      blocked.push(`chain ${chain.family} ${chain.table} ${chain.name}`);
    }
  }
  return blocked;
}

async function listChain(addon: Spawner, { family, table, name }: Chain): Promise<string> {
  return (await nft(addon, ['list', 'chain', family, table, name])).stdout;
}

/** The chains that "nft -j list chains" prints (libnftables-json(5)). */
export function parseChains(text: string): Chain[] {
  try {
    const { nftables } = JSON.parse(text) as { nftables: { chain?: Chain }[] };
    return nftables.flatMap(({ chain }) => chain ?? []);
  } catch {
    return [];
  }
}

/** Whether the last rule of a chain, as nft(8) lists it, drops or rejects everything. */
export function endsInDrop(text: string): boolean {
  const lines = text.split('\n').map((line) => line.trim());
  const last = lines.findLast((line) => line !== '' && line !== '}') ?? '';
  return /^(counter packets \d+ bytes \d+ )?(drop|reject\b.*)$/.test(last);
}

async function legacyBlocks(addon: Spawner, bridge: string): Promise<string[]> {
  const tables = await readFile(LEGACY_TABLES, 'utf8').catch(() => '');
  if (!tables.split('\n').includes('filter')) return [];
  for (const file of LEGACY_IPTABLES) {
    if (
      !(await access(file).then(
        () => true,
        () => false,
      ))
    )
      continue;
    const options = { file, argv: ['iptables-legacy', '-S'], env: ['LC_ALL=C'], timeoutMs: 10_000 };
    const result = await addon.spawn(options).catch(() => undefined);
    const text = result?.stdout ?? '';
    return legacyDrops(text, bridge) ? ['chain FORWARD of iptables-legacy'] : [];
  }
  return [];
}

/** Of what "iptables -S" prints. */
export function legacyDrops(text: string, bridge: string): boolean {
  const lines = text.split('\n');
  const named = lines.some(
    (line) => /^-A (FORWARD|DOCKER-USER) /.test(line) && line.split(' ').includes(bridge),
  );
  return !named && lines.includes('-P FORWARD DROP');
}
