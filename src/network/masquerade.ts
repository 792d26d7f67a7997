import { access, constants } from 'node:fs/promises';
import { messageOf } from '../errors.ts';
import type { Addon } from '../native/types.ts';
import { formatSubnet, type Subnet } from './cidr.ts';

/** The bridge of the table that is called `coracle`; every other bridge has its own table. */
export const DEFAULT_BRIDGE = 'coracle0';

const NFT_PATHS = ['/usr/sbin/nft', '/sbin/nft', '/usr/bin/nft', '/usr/local/sbin/nft'];
const NFT_MISSING = 'nft (Debian package nftables) is not installed';
const NFT_TIMEOUT_MS = 10_000;

export interface MasqueradeSpec {
  readonly bridge: string;
  readonly subnets: readonly Subnet[];
}

export function tableName(bridge: string): string {
  return bridge === DEFAULT_BRIDGE ? 'coracle' : `coracle-${bridge}`;
}

/**
 * The nft(8) script that makes the table, or replaces it: one script is one transaction, so there
 * is no moment without rules. (Deleting a table that may be missing fails; declaring it first
 * makes sure that it is there.)
 *
 * `accept` ends the evaluation of this table's chain only: a firewall that drops forwarded
 * packets in another table still does.
 */
export function ruleset({ bridge, subnets }: MasqueradeSpec): string {
  const table = `table inet ${tableName(bridge)}`;
  const masquerade = subnets.map((subnet) => {
    const ip = subnet.family === 4 ? 'ip' : 'ip6';
    const net = formatSubnet(subnet);
    const multicast = subnet.family === 4 ? '224.0.0.0/4' : 'ff00::/8';
    return `    ${ip} saddr ${net} ${ip} daddr != { ${net}, ${multicast} } masquerade`;
  });
  return `${table}
delete ${table}
${table} {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
${masquerade.join('\n')}
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname "${bridge}" accept
    oifname "${bridge}" accept
  }
}
`;
}

/**
 * Lets pods reach beyond the host under the host's address.
 *
 * @returns '' or, where it cannot be done, the reason; pods reach the host and each other anyway.
 */
export async function installMasquerade(
  addon: Pick<Addon, 'spawn'>,
  spec: MasqueradeSpec,
): Promise<string> {
  return explain(await runNft(addon, ruleset(spec)));
}

/** What is already known to stand in the way: '' or the reason. Changes nothing. */
export async function probeMasquerade(): Promise<string> {
  return explain((await findNft()) === undefined ? NFT_MISSING : '');
}

function explain(failure: string): string {
  return failure && `outbound traffic of pods is not masqueraded: ${failure}`;
}

/** Removes the table; a missing one is no error. Returns '' or the reason for a failure. */
export function removeMasquerade(addon: Pick<Addon, 'spawn'>, bridge: string): Promise<string> {
  const table = `table inet ${tableName(bridge)}`;
  return runNft(addon, `${table}\ndelete ${table}\n`);
}

async function runNft(addon: Pick<Addon, 'spawn'>, script: string): Promise<string> {
  const nft = await findNft();
  if (nft === undefined) return NFT_MISSING;
  try {
    const result = await addon.spawn({
      file: nft,
      argv: ['nft', '-f', '-'],
      env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL=C'],
      stdin: script,
      timeoutMs: NFT_TIMEOUT_MS,
      maxOutput: 16 * 1024,
    });
    if (result.timedOut) return `nft did not end within ${NFT_TIMEOUT_MS / 1000} s`;
    if (result.exitCode === 0) return '';
    return `nft: ${result.stderr.trim().split('\n')[0] || `exit code ${result.exitCode}`}`;
  } catch (error) {
    return `nft: ${messageOf(error)}`;
  }
}

async function findNft(): Promise<string | undefined> {
  for (const path of NFT_PATHS) {
    const found = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return path;
  }
  return undefined;
}
