import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  contains,
  type Family,
  formatAddress,
  formatSubnet,
  gatewayOf,
  lastAddress,
  overlaps,
  parseAddress,
  parseSubnet,
  podRange,
  type Subnet,
} from '../../src/network/cidr.ts';

function subnet(text: string): Subnet {
  const parsed = parseSubnet(text);
  assert.ok(parsed, text);
  return parsed;
}

function address(text: string) {
  const parsed = parseAddress(text);
  assert.ok(parsed, text);
  return parsed;
}

test('addresses are read and written in their canonical form', () => {
  const table: [input: string, canonical: string][] = [
    ['0.0.0.0', '0.0.0.0'],
    ['255.255.255.255', '255.255.255.255'],
    ['10.88.0.5', '10.88.0.5'],
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['FD00:88::00AB', 'fd00:88::ab'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['::ffff:10.0.0.1', '::ffff:10.0.0.1'],
    ['64:ff9b::10.0.0.1', '64:ff9b::a00:1'],
  ];
  for (const [input, canonical] of table) {
    assert.equal(formatAddress(address(input)), canonical, input);
  }
});

test('what is no address is refused', () => {
  const table = [
    ...['', '10', '10.0.0', '10.0.0.0.0', '10.0.0.256', '10.0.0.01', '10.0.0.-1', '10.0.0.1 '],
    ...[':', ':::', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '1::2::3', '12345::', 'g::', '::1%eth0'],
    ...['1:2:3:4:5:6:7:8::', '10.0.0.1::', '::10.0.0.1:1', '::10.0.0', '1:2:3:4:5:6:7:1.2.3.4'],
  ];
  for (const text of table) assert.equal(parseAddress(text), undefined, text);
});

test('what is no subnet is refused, host bits are cleared', () => {
  for (const text of ['', '10.0.0.0', '10.0.0.0/', '10.0.0.0/33', '::/129', '10.0.0.0/08', '/8']) {
    assert.equal(parseSubnet(text), undefined, text);
  }
  assert.equal(formatSubnet(subnet('10.88.3.4/16')), '10.88.0.0/16');
  assert.equal(formatSubnet(subnet('fd00::1/64')), 'fd00::/64');
  assert.equal(formatSubnet(subnet('255.1.2.3/0')), '0.0.0.0/0');
});

test('pods get neither network, gateway nor broadcast address', () => {
  const table: [subnet: string, gateway: string, first: string, last: string][] = [
    ['10.88.0.0/16', '10.88.0.1', '10.88.0.2', '10.88.255.254'],
    ['192.168.1.0/30', '192.168.1.1', '192.168.1.2', '192.168.1.2'],
    ['fd00::/64', 'fd00::1', 'fd00::2', 'fd00::ffff:ffff:ffff:ffff'],
  ];
  for (const [text, gateway, first, last] of table) {
    const { family } = subnet(text);
    const range = podRange(subnet(text));
    assert.equal(formatAddress(gatewayOf(subnet(text))), gateway);
    assert.equal(formatAddress({ family, value: range.first }), first);
    assert.equal(formatAddress({ family, value: range.last }), last);
  }
  for (const text of ['10.0.0.0/31', '10.0.0.0/32', 'fd00::/127', 'fd00::/128']) {
    const { first, last } = podRange(subnet(text));
    assert.ok(first > last, text);
  }
});

test('subnets overlap where they share an address, never across families', () => {
  assert.ok(overlaps(subnet('10.0.0.0/8'), subnet('10.88.0.0/16')));
  assert.ok(overlaps(subnet('10.88.0.0/16'), subnet('10.0.0.0/8')));
  assert.ok(!overlaps(subnet('10.88.0.0/16'), subnet('10.89.0.0/16')));
  assert.ok(!overlaps(subnet('0.0.0.0/0'), subnet('::/0')));
});

const anyAddress = fc.oneof(
  fc.bigInt(0n, 2n ** 32n - 1n).map((value) => ({ family: 4 as Family, value })),
  fc.bigInt(0n, 2n ** 128n - 1n).map((value) => ({ family: 6 as Family, value })),
  // Sparse ones, where the compression of zeros is at work.
  fc
    .array(fc.constantFrom<bigint[]>(0n, 0n, 1n, 0xffffn), { minLength: 8, maxLength: 8 })
    .map((groups) => ({
      family: 6 as Family,
      value: groups.reduce((value, group) => (value << 16n) | group, 0n),
    })),
);

test('property: every address survives being written and read, in a form that Node accepts', () => {
  fc.assert(
    fc.property(anyAddress, (any) => {
      const text = formatAddress(any);
      assert.equal(isIP(text), any.family);
      assert.deepEqual(parseAddress(text), any);
    }),
  );
});

test('property: what Node takes for an address and what we take for one is the same', () => {
  const character = fc.constantFrom('0', '1', '9', 'a', 'f', ':', ':', '.');
  fc.assert(
    fc.property(fc.array(character, { maxLength: 20 }), (characters) => {
      const text = characters.join('');
      assert.equal(parseAddress(text)?.family ?? 0, isIP(text), text);
    }),
    { numRuns: 2000 },
  );
});

test('property: a subnet contains exactly base to last', () => {
  fc.assert(
    fc.property(anyAddress, fc.nat(128), (any, length) => {
      const prefix = any.family === 4 ? length % 33 : length;
      const net = subnet(`${formatAddress(any)}/${prefix}`);
      assert.ok(contains(net, any));
      assert.ok(contains(net, { family: any.family, value: net.base }));
      assert.ok(contains(net, { family: any.family, value: lastAddress(net) }));
      assert.ok(!contains(net, { family: any.family, value: lastAddress(net) + 1n }));
      assert.ok(!contains(net, { family: any.family, value: net.base - 1n }));
      assert.deepEqual(parseSubnet(formatSubnet(net)), net);
    }),
  );
});
