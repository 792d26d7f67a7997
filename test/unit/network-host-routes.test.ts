import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatSubnet } from '../../src/network/cidr.ts';
import {
  CANDIDATES,
  chooseSubnet,
  defaultRoute,
  parseIpv4Routes,
  parseIpv6Routes,
} from '../../src/network/host-routes.ts';

const header =
  'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n';
const ipv4 = `${header}\
wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0
eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
vpn0\t0000580A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
down0\t0000590A\t00000000\t0000\t0\t0\t0\t0000FFFF\t0\t0\t0
*\t00005A0A\t00000000\t0201\t0\t0\t0\t0000FFFF\t0\t0\t0
`;
const ipv6 = `\
fd000088000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001 br0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth1
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
`;

test('routes of both families are read; those that are down or reject are none', () => {
  assert.deepEqual(
    parseIpv4Routes(ipv4, 'LE').map((r) => `${formatSubnet(r.destination)} ${r.link} ${r.metric}`),
    ['0.0.0.0/0 wlan0 600', '0.0.0.0/0 eth0 100', '192.0.2.0/24 eth0 0', '10.88.0.0/16 vpn0 0'],
  );
  assert.deepEqual(
    parseIpv6Routes(ipv6).map((r) => `${formatSubnet(r.destination)} ${r.link} ${r.metric}`),
    ['fd00:88::/64 br0 256', '::/0 eth1 1024'],
  );
  const bigEndian = ipv4.replace('000200C0', 'C0000200');
  assert.ok(
    parseIpv4Routes(bigEndian, 'BE').some((r) => formatSubnet(r.destination) === '192.0.2.0/24'),
  );
  assert.deepEqual(parseIpv4Routes(''), []);
  assert.deepEqual(parseIpv6Routes(''), []);
});

test('the default route is the one of lowest metric, IPv4 first', () => {
  const routes = [...parseIpv6Routes(ipv6), ...parseIpv4Routes(ipv4, 'LE')];
  assert.equal(defaultRoute(routes)?.link, 'eth0');
  assert.equal(defaultRoute(parseIpv6Routes(ipv6))?.link, 'eth1');
  assert.equal(defaultRoute([]), undefined);
});

test('the subnet of pods avoids the routes of the host but the default one', () => {
  const routes = parseIpv4Routes(ipv4, 'LE');
  const chosen = chooseSubnet(routes, 'coracle0');
  assert.ok(chosen);
  assert.equal(formatSubnet(chosen), '10.89.0.0/16');
  // What the bridge itself occupies is no obstacle.
  const own = chooseSubnet(routes, 'vpn0');
  assert.ok(own);
  assert.equal(formatSubnet(own), '10.88.0.0/16');
});

test('where everything is routed there is no subnet left', () => {
  const routes = CANDIDATES.map((destination) => ({ link: 'vpn0', destination, metric: 0 }));
  assert.equal(chooseSubnet(routes, 'coracle0'), undefined);
});
