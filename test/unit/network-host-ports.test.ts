import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { UdpFlows } from '../../src/native/types.ts';
import { parseSubnet } from '../../src/network/cidr.ts';
import { hostPortsOf } from '../../src/network/host-port-list.ts';
import { addLines, deleteLines, hostPortRuleset } from '../../src/network/host-port-rules.ts';
import { HostPorts } from '../../src/network/host-ports.ts';
import type { HostPort } from '../../src/network/index.ts';
import type { PortMapping } from '../../src/spec/config.ts';

const SUBNETS = [parseSubnet('10.9.0.0/24'), parseSubnet('fd00:9::/64')].flatMap((s) => s ?? []);

function port(hostPort: number, more: Partial<PortMapping> = {}): HostPort {
  return { protocol: 'tcp', containerPort: 80, hostPort, hostIp: '', ...more };
}

/** nft runs as scripts, each of which may fail; sysctls and forgotten flows as lists. */
function setUp() {
  const scripts: string[] = [];
  const loopback: boolean[] = [];
  const flows: UdpFlows[] = [];
  const host = { scripts, loopback, flows, fails: (_script: string) => false, loopbackFails: '' };
  const ports = new HostPorts({
    addon: {
      async spawn({ stdin = '' }) {
        await new Promise(setImmediate);
        scripts.push(stdin);
        const exitCode = host.fails(stdin) ? 1 : 0;
        return { exitCode, stdout: '', stderr: 'refused', timedOut: false } as never;
      },
      async deleteUdpFlows(each) {
        flows.push(each);
      },
    },
    bridge: 'coracle0',
    async routeLoopback(_, on) {
      if (host.loopbackFails) throw new Error(host.loopbackFails);
      loopback.push(on);
    },
  });
  return { host, ports };
}

test('host ports are what has one, in canonical form, once', () => {
  assert.deepEqual(
    hostPortsOf([port(0), port(80, { hostIp: '2001:DB8:0::1' }), port(80, { protocol: 'udp' })]),
    [port(80, { hostIp: '2001:db8::1' }), port(80, { protocol: 'udp' })],
  );
  assert.deepEqual(hostPortsOf([port(80), port(80)]), [port(80)]);
  assert.deepEqual(hostPortsOf([]), []);
});

test('mappings that make no sense are refused by field', () => {
  const table: [PortMapping[], string][] = [
    [[port(80), port(80, { containerPort: 81 })], 'port_mappings[1].host_port: 80 is given to two'],
    [[port(80, { hostIp: '127.0.0.1' }), port(80)], 'port_mappings[1].host_port: 80 is given to'],
    [[port(80, { hostIp: 'localhost' })], 'port_mappings[0].host_ip: "localhost" is not an IP'],
    [[port(80, { hostIp: '1.2.3.4; drop' })], 'port_mappings[0].host_ip: '],
    [[port(70_000)], 'port_mappings[0].host_port: 70000 is not between'],
    [[port(80, { containerPort: 0 })], 'port_mappings[0].container_port: 0 is not between'],
    [[port(80, { protocol: 'icmp' as never })], 'port_mappings[0].protocol: "icmp" is not one of'],
  ];
  for (const [mappings, message] of table) {
    assert.throws(
      () => hostPortsOf(mappings),
      (error: Error & { kind?: string }) =>
        error.kind === 'InvalidArgument' && error.message.startsWith(message),
      message,
    );
  }
});

test('an element for each family that port and pod share', () => {
  const ips = ['10.9.0.2', 'fd00:9::2'];
  const lines = (hostPort: HostPort) => addLines('coracle0', { hostPorts: [hostPort], ips });
  const add = 'add element inet coracle/ports';
  assert.deepEqual(lines(port(8080)), [
    `${add} any4 { tcp . 8080 : 10.9.0.2 . 80 }`,
    `${add} any6 { tcp . 8080 : fd00:9::2 . 80 }`,
  ]);
  assert.deepEqual(lines(port(53, { protocol: 'udp', hostIp: '192.0.2.1' })), [
    `${add} bound4 { 192.0.2.1 . udp . 53 : 10.9.0.2 . 80 }`,
  ]);
  assert.deepEqual(lines(port(53, { hostIp: '::' })), [
    `${add} any6 { tcp . 53 : fd00:9::2 . 80 }`,
  ]);
  assert.deepEqual(deleteLines('br1', { hostPorts: [port(1)], ips: ['10.9.0.2'] }), [
    'delete element inet coracle-br1/ports any4 { tcp . 1 }',
  ]);
});

test('the ruleset replaces the table and holds every open port', () => {
  const open = [{ hostPorts: [port(8080)], ips: ['10.9.0.2'] }];
  const text = hostPortRuleset({ bridge: 'coracle0', subnets: SUBNETS, open });
  assert.ok(text.startsWith('table inet coracle/ports\ndelete table inet coracle/ports\n'));
  for (const rule of [
    'iifname != "lo" ip daddr 127.0.0.0/8 drop',
    'oifname "coracle0" ip saddr 10.9.0.0/24 ct status dnat masquerade',
    'oifname "coracle0" ip6 saddr fd00:9::/64 ct status dnat masquerade',
    'oifname "coracle0" ip saddr 127.0.0.0/8 masquerade',
    'add element inet coracle/ports any4 { tcp . 8080 : 10.9.0.2 . 80 }',
  ]) {
    assert.ok(text.includes(rule), rule);
  }
});

test('a port belongs to one pod, from its reservation to its end', async () => {
  const { ports } = setUp();
  ports.reserve('a', [port(80, { hostIp: '192.0.2.1' }), port(53, { protocol: 'udp' })]);
  const message = 'host tcp port 80 leads to sandbox a already';
  assert.throws(() => ports.reserve('b', [port(80)]), { kind: 'FailedPrecondition', message });
  assert.throws(() => ports.reserve('b', [port(80, { hostIp: '0.0.0.0' })]), /tcp 0\.0\.0\.0:80/);
  assert.throws(
    () => ports.reserve('b', [port(53, { protocol: 'udp', hostIp: '::1' })]),
    /\[::1\]:53/,
  );
  ports.reserve('b', [
    port(80, { hostIp: '192.0.2.2' }),
    port(80, { hostIp: '::' }),
    port(53),
    port(80, { protocol: 'udp' }),
  ]);
  await ports.close('a');
  ports.reserve('c', [port(80, { hostIp: '192.0.2.1' })]);
});

test('pods without host ports cost no nft run', async () => {
  const { host, ports } = setUp();
  await ports.restore(SUBNETS);
  ports.reserve('a', []);
  await ports.open('a', ['10.9.0.2']);
  await ports.close('a');
  await ports.close('never seen');
  assert.deepEqual(host.scripts, []);
});

test('changes that come together are one transaction', async () => {
  const { host, ports } = setUp();
  await ports.restore(SUBNETS);
  const ids = Array.from({ length: 50 }, (_, i) => `pod${i}`);
  for (const [i, id] of ids.entries()) ports.reserve(id, [port(1000 + i)]);
  await ports.open('pod0', ['10.9.0.2']);
  assert.equal(host.scripts.length, 1);
  await Promise.all(ids.slice(1).map((id, i) => ports.open(id, [`10.9.0.${i + 3}`])));
  assert.equal(host.scripts.length, 2);
  assert.equal(host.scripts[1]?.split('\n').length, 49);
  await Promise.all(ids.map((id) => ports.close(id)));
  assert.equal(host.scripts.at(-1), 'table inet coracle/ports\ndelete table inet coracle/ports\n');
  assert.deepEqual(host.loopback, [true, true, false]);
});

test('a table that somebody flushed is written anew', async () => {
  const { host, ports } = setUp();
  await ports.restore(SUBNETS);
  ports.reserve('a', [port(80)]);
  ports.reserve('b', [port(81)]);
  await ports.open('a', ['10.9.0.2']);
  host.fails = (script) => script.startsWith('add element');
  await ports.open('b', ['10.9.0.3']);
  const last = host.scripts.at(-1) ?? '';
  assert.match(last, /tcp \. 80 : 10\.9\.0\.2/);
  assert.match(last, /tcp \. 81 : 10\.9\.0\.3/);
});

test('what cannot be opened is not open, what cannot be closed is still taken', async () => {
  const { host, ports } = setUp();
  await ports.restore(SUBNETS);
  host.fails = () => true;
  ports.reserve('a', [port(80)]);
  const unavailable = { kind: 'Unavailable', message: 'host ports: nft: refused' };
  await assert.rejects(ports.open('a', ['10.9.0.2']), unavailable);
  await assert.rejects(ports.close('a'), unavailable);
  host.fails = () => false;
  await ports.close('a');
  ports.reserve('b', [port(80)]);
  await ports.open('b', ['10.9.0.3']);
  host.fails = () => true;
  await assert.rejects(ports.close('b'), unavailable);
  assert.throws(() => ports.reserve('c', [port(80)]), /leads to sandbox b/);
  host.fails = () => false;
  await ports.close('b');
  ports.reserve('c', [port(80)]);
});

test('a sysctl that cannot be set is a problem to be told, not a failure', async () => {
  const { host, ports } = setUp();
  await ports.restore(SUBNETS);
  host.loopbackFails = 'EROFS';
  ports.reserve('a', [port(80)]);
  await ports.open('a', ['10.9.0.2']);
  assert.equal(ports.problem, 'host ports are not reached over 127.0.0.1: EROFS');
});

test('after a restart the table holds the ports of the living', async () => {
  const { host, ports } = setUp();
  ports.adopt([{ sandboxId: 'a', ips: ['10.9.0.2'], hostPorts: [port(80)] }]);
  await ports.restore(SUBNETS);
  assert.match(host.scripts[0] ?? '', /tcp \. 80 : 10\.9\.0\.2 \. 80/);
  assert.throws(() => ports.reserve('b', [port(80)]), /leads to sandbox a/);
  const empty = setUp();
  empty.ports.adopt([]);
  await empty.ports.restore(SUBNETS);
  assert.deepEqual(empty.host.scripts, [
    'table inet coracle/ports\ndelete table inet coracle/ports\n',
  ]);
});

test('UDP flows of before are forgotten when a port opens, and those of the pod when it closes', async () => {
  const { host, ports } = setUp();
  await ports.restore(SUBNETS);
  ports.reserve('a', [port(53, { protocol: 'udp' }), port(53)]);
  await ports.open('a', ['10.9.0.2']);
  await ports.close('a');
  assert.deepEqual(host.flows, [
    { ports: [53], pods: ['10.9.0.2'], untranslated: true },
    { ports: [53], pods: ['10.9.0.2'], untranslated: false },
  ]);
});

test('addresses that a pod or a packet cannot have are refused', async () => {
  const { ports } = setUp();
  await ports.restore(SUBNETS);
  ports.reserve('a', [port(80, { hostIp: '2001:db8::1' })]);
  await assert.rejects(ports.open('a', ['10.9.0.2']), {
    kind: 'FailedPrecondition',
    message: 'host tcp [2001:db8::1]:80: the pod has no IPv6 address',
  });
  ports.reserve('b', [port(81, { hostIp: '::1' })]);
  await assert.rejects(ports.open('b', ['10.9.0.3', 'fd00:9::3']), /nothing leads from ::1/);
});
