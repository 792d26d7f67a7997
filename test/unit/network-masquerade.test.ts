import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SpawnOptions, SpawnResult } from '../../src/native/types.ts';
import { parseSubnet, type Subnet } from '../../src/network/cidr.ts';
import { installMasquerade, removeMasquerade, ruleset } from '../../src/network/masquerade.ts';

const subnets: Subnet[] = ['10.88.0.0/16', 'fd00:88::/64'].flatMap((t) => parseSubnet(t) ?? []);

function spawning(result: Partial<SpawnResult>) {
  const calls: SpawnOptions[] = [];
  const spawn = async (options: SpawnOptions): Promise<SpawnResult> => {
    calls.push(options);
    return { exitCode: 0, stdout: '', stderr: '', timedOut: false, ...result };
  };
  return { calls, addon: { spawn } };
}

test('the table is replaced in one transaction', () => {
  const script = ruleset({ bridge: 'coracle0', subnets });
  assert.ok(
    script.startsWith('table inet coracle\ndelete table inet coracle\ntable inet coracle {'),
  );
  assert.equal(script.split('{').length, script.split('}').length);
});

test('traffic that leaves the subnet is masqueraded, in both families', () => {
  const script = ruleset({ bridge: 'coracle0', subnets });
  assert.match(
    script,
    /^ +ip saddr 10\.88\.0\.0\/16 ip daddr != \{ 10\.88\.0\.0\/16, 224\.0\.0\.0\/4 \} masquerade$/m,
  );
  assert.match(
    script,
    /^ +ip6 saddr fd00:88::\/64 ip6 daddr != \{ fd00:88::\/64, ff00::\/8 \} masquerade$/m,
  );
  assert.match(script, /^ +iifname "coracle0" accept$/m);
  assert.match(script, /^ +oifname "coracle0" accept$/m);
});

test('another bridge has a table of its own', () => {
  assert.match(ruleset({ bridge: 'br-x', subnets }), /^delete table inet coracle-br-x$/m);
});

test('one run of nft reads the script from its standard input', async () => {
  const { calls, addon } = spawning({});
  assert.equal(await installMasquerade(addon, { bridge: 'coracle0', subnets }), '');
  assert.equal(calls.length, 1);
  assert.deepEqual(calls[0]?.argv, ['nft', '-f', '-']);
  assert.equal(calls[0]?.stdin, ruleset({ bridge: 'coracle0', subnets }));
  await removeMasquerade(addon, 'coracle0');
  assert.equal(calls[1]?.stdin, 'table inet coracle\ndelete table inet coracle\n');
});

test('what nft says becomes the reason', async () => {
  const refused = spawning({ exitCode: 1, stderr: 'Error: Operation not permitted\nmore\n' });
  assert.equal(
    await installMasquerade(refused.addon, { bridge: 'coracle0', subnets }),
    'outbound traffic of pods is not masqueraded: nft: Error: Operation not permitted',
  );
  const silent = spawning({ exitCode: 3 });
  assert.equal(await removeMasquerade(silent.addon, 'coracle0'), 'nft: exit code 3');
  const stuck = spawning({ timedOut: true, exitCode: 137 });
  assert.match(await removeMasquerade(stuck.addon, 'coracle0'), /did not end within 10 s$/);
});
