import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { podNetwork, readResult } from '../../src/network/cni/result.ts';
import type { CniVersion } from '../../src/network/cni/version.ts';

const current = {
  cniVersion: '1.1.0',
  interfaces: [
    { name: 'cni0', mac: '02:00:00:00:00:01', mtu: 1500 },
    { name: 'veth1', mac: '02:00:00:00:00:02' },
    { name: 'eth0', mac: '02:00:00:00:00:03', sandbox: '/run/netns/x', socketPath: '/s' },
  ],
  ips: [
    { address: '10.1.0.5/24', gateway: '10.1.0.1', interface: 2 },
    { address: 'FD00:0::5/64', gateway: 'fd00::1', interface: 2 },
  ],
  routes: [
    { dst: '0.0.0.0/0', mtu: 1400 },
    { dst: '::/0', gw: 'fd00::1' },
  ],
  dns: { nameservers: ['10.1.0.1'] },
};
const families = {
  cniVersion: '0.4.0',
  interfaces: [
    { name: 'cni0', mac: '02:00:00:00:00:01' },
    { name: 'veth1', mac: '02:00:00:00:00:02' },
    { name: 'eth0', mac: '02:00:00:00:00:03', sandbox: '/run/netns/x' },
  ],
  ips: [
    { version: '4', address: '10.1.0.5/24', gateway: '10.1.0.1', interface: 2 },
    { version: '6', address: 'FD00:0::5/64', gateway: 'fd00::1', interface: 2 },
  ],
  routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0', gw: 'fd00::1' }],
  dns: { nameservers: ['10.1.0.1'] },
};
const legacy = {
  cniVersion: '0.2.0',
  ip4: { ip: '10.1.0.5/24', gateway: '10.1.0.1', routes: [{ dst: '0.0.0.0/0' }] },
  ip6: { ip: 'FD00:0::5/64', gateway: 'fd00::1', routes: [{ dst: '::/0', gw: 'fd00::1' }] },
  dns: { nameservers: ['10.1.0.1'] },
};

const print = (result: object, version: CniVersion) => readResult(JSON.stringify(result), version);

describe('a result of CNI', () => {
  test('of the version that was asked for is passed on untouched', () => {
    for (const result of [current, families, legacy]) {
      const version = result.cniVersion as CniVersion;
      assert.deepEqual(print({ ...result, own: { x: 1 } }, version), { ...result, own: { x: 1 } });
      assert.deepEqual(print({ ...result, cniVersion: undefined }, version), result);
    }
  });

  test('of another version is converted to the one that was asked for', () => {
    assert.deepEqual(print(current, '0.4.0'), families);
    assert.deepEqual(print(current, '0.3.0'), { ...families, cniVersion: '0.3.0' });
    assert.deepEqual(print(current, '0.2.0'), legacy);
    assert.deepEqual(print(current, '1.0.0'), { ...current, cniVersion: '1.0.0' });
    assert.deepEqual(print(families, '0.1.0'), { ...legacy, cniVersion: '0.1.0' });
    const ips = families.ips.map(({ version: _, ...ip }) => ip);
    assert.deepEqual(print(families, '1.0.0'), { ...families, ips, cniVersion: '1.0.0' });
    assert.deepEqual(print(legacy, '1.0.0'), {
      cniVersion: '1.0.0',
      ips: [
        { address: '10.1.0.5/24', gateway: '10.1.0.1' },
        { address: 'FD00:0::5/64', gateway: 'fd00::1' },
      ],
      routes: [
        { dst: '0.0.0.0/0', gw: '10.1.0.1' },
        { dst: '::/0', gw: 'fd00::1' },
      ],
      dns: { nameservers: ['10.1.0.1'] },
    });
  });

  const wrong: [string, RegExp][] = [
    ['', /^printed no result$/],
    ['hello', /^printed no JSON but "hello"$/],
    ['[]', /^printed JSON that is no object$/],
    ['{"cniVersion":"3.0.0"}', /^printed a result of the unknown version "3\.0\.0"$/],
    ['{"ips":[{}]}', /^printed a result whose ips\.0\.address is not/],
    ['{"ips":[{"address":"10.0.0.1/8","interface":"eth0"}]}', /ips\.0\.interface is not/],
  ];
  for (const [printed, message] of wrong) {
    test(`is refused: ${printed}`, () => {
      assert.throws(() => readResult(printed, '1.0.0'), { message });
    });
  }
});

describe("a pod's network", () => {
  test('has the addresses in order, and link and gateway of the first', () => {
    for (const result of [current, families]) {
      assert.deepEqual(podNetwork(result, result.cniVersion as CniVersion, 'eth0'), {
        ips: ['10.1.0.5', 'fd00::5'],
        interfaceName: 'eth0',
        mac: '02:00:00:00:00:03',
        gateway: '10.1.0.1',
      });
    }
    const turned = { ...current, ips: current.ips.toReversed() };
    assert.deepEqual(podNetwork(turned, '1.1.0', 'eth0').ips, ['fd00::5', '10.1.0.5']);
    assert.equal(podNetwork(turned, '1.1.0', 'eth0').gateway, 'fd00::1');
  });

  test('of an early version has no link to tell the address of', () => {
    assert.deepEqual(podNetwork(legacy, '0.2.0', 'eth0'), {
      ips: ['10.1.0.5', 'fd00::5'],
      interfaceName: 'eth0',
      mac: '',
      gateway: '10.1.0.1',
    });
  });

  test('leaves out what belongs to other links', () => {
    const interfaces = [...current.interfaces, { name: 'net1', sandbox: '/run/netns/x' }];
    const ips = [{ address: '192.0.2.1/24', interface: 3 }, ...current.ips];
    assert.deepEqual(podNetwork({ ...current, interfaces, ips }, '1.1.0', 'eth0').ips, [
      '10.1.0.5',
      'fd00::5',
    ]);
  });

  test('takes the gateway of the default route where the address has none', () => {
    const ips = [{ address: '10.1.0.5/24', gateway: '' }];
    const routes = [
      { dst: '::/0', gw: 'fd00::1' },
      { dst: '0.0.0.0/0', gw: '10.1.0.9' },
    ];
    assert.equal(podNetwork({ ips, routes }, '1.0.0', 'eth0').gateway, '10.1.0.9');
    assert.equal(podNetwork({ ips }, '1.0.0', 'eth0').gateway, '');
  });

  const wrong: [object, RegExp][] = [
    [{}, /^gave eth0 no IP address$/],
    [{ ...current, ips: [{ address: '10.0.0.1/8', interface: 0 }] }, /^gave eth0 no IP address$/],
    [{ ips: [{ address: '10.0.0.1/8', interface: 7 }] }, /interface 7, which is not in its result/],
    [{ ips: [{ address: '10.0.0/8' }] }, /"10\.0\.0\/8", which is no address/],
  ];
  for (const [result, message] of wrong) {
    test(`is not there: ${JSON.stringify(result).slice(0, 60)}`, () => {
      assert.throws(() => podNetwork({ ...result }, '1.1.0', 'eth0'), { message });
    });
  }
});
