import { formatSubnet, type Subnet } from './cidr.ts';
import { findNft, NFT_MISSING, runNft, type Spawner } from './nft.ts';

/** The bridge of the table that is called `coracle`; every other bridge has its own table. */
export const DEFAULT_BRIDGE = 'coracle0';

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
export async function installMasquerade(addon: Spawner, spec: MasqueradeSpec): Promise<string> {
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
export function removeMasquerade(addon: Spawner, bridge: string): Promise<string> {
  const table = `table inet ${tableName(bridge)}`;
  return runNft(addon, `${table}\ndelete ${table}\n`);
}
