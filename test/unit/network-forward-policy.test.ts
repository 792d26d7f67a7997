import assert from 'node:assert/strict';
import { test } from 'node:test';
import { endsInDrop, forwardingBlocked, legacyDrops } from '../../src/network/forward-policy.ts';

/** nft on a host with these base chains, and the texts of chains by name. */
function host(chains: object[], texts: Record<string, string>) {
  return {
    async spawn({ argv }: { argv: string[] }) {
      const listing = JSON.stringify({
        nftables: [{ metainfo: {} }, ...chains.map((chain) => ({ chain }))],
      });
      const stdout = argv[1] === '-j' ? listing : (texts[argv.at(-1) ?? ''] ?? '');
      return { exitCode: 0, stdout, stderr: '', timedOut: false } as never;
    },
  };
}

const ours = {
  family: 'inet',
  table: 'coracle',
  name: 'forward',
  hook: 'forward',
  policy: 'accept',
};
const docker = { family: 'ip', table: 'filter', name: 'FORWARD', hook: 'forward', policy: 'drop' };
const dockerUser = { family: 'ip', table: 'filter', name: 'DOCKER-USER' };
const DROPS = /^another firewall drops forwarded packets \(chain ip filter FORWARD\): .* coracle0$/;

test('a firewall that drops by policy is told, unless it names the bridge', async () => {
  assert.equal(await forwardingBlocked(host([ours], {}), 'coracle0'), '');
  assert.match(await forwardingBlocked(host([ours, docker], {}), 'coracle0'), DROPS);
  const chains = [ours, docker, dockerUser];
  const named = { 'DOCKER-USER': 'iifname "coracle0" counter packets 0 bytes 0 accept' };
  assert.equal(await forwardingBlocked(host(chains, named), 'coracle0'), '');
  const other = { 'DOCKER-USER': 'iifname "coracle1" accept' };
  assert.match(await forwardingBlocked(host(chains, other), 'coracle0'), DROPS);
  const open = { ...docker, policy: 'accept' };
  assert.equal(await forwardingBlocked(host([open], { FORWARD: 'accept' }), 'coracle0'), '');
});

test('so is one that ends in a rule for all', () => {
  const chain = (rule: string) =>
    `table inet f {\n\tchain fw {\n\t\ttype filter hook forward priority 10; policy accept;\n\t\t${rule}\n\t}\n}\n`;
  assert.ok(endsInDrop(chain('reject with icmpx admin-prohibited')));
  assert.ok(endsInDrop(chain('counter packets 5 bytes 300 drop')));
  assert.ok(!endsInDrop(chain('iifname "eth9" drop')));
  assert.ok(!endsInDrop(chain('ct state invalid drop\n\t\taccept')));
  assert.ok(!endsInDrop(''));
});

test('the older iptables is read from its own listing', () => {
  assert.ok(legacyDrops('-P INPUT ACCEPT\n-P FORWARD DROP\n', 'coracle0'));
  assert.ok(!legacyDrops('-P FORWARD ACCEPT\n', 'coracle0'));
  assert.ok(!legacyDrops('-P FORWARD DROP\n-A FORWARD -i coracle0 -j ACCEPT\n', 'coracle0'));
  assert.ok(legacyDrops('-P FORWARD DROP\n-A FORWARD -i coracle01 -j ACCEPT\n', 'coracle0'));
});
