import assert from 'node:assert/strict';
import { closeSync, fstatSync, openSync } from 'node:fs';
import { test } from 'node:test';
import { CoracleError } from '../../src/errors.ts';
import type { BridgeSpec, UdpFlows, VethSpec } from '../../src/native/types.ts';
import {
  EmbeddedNetwork,
  type EmbeddedNetworkOptions,
  hostLinkName,
  macOf,
} from '../../src/network/embedded.ts';
import type { AttachRequest } from '../../src/network/index.ts';
import { MemoryAddressTable } from '../helpers/address-table.ts';

/** A host whose links and nft runs are lists. */
class FakeHost {
  readonly links = new Set<string>();
  readonly bridges: BridgeSpec[] = [];
  readonly veths: VethSpec[] = [];
  /** What changes rules. */
  readonly scripts: string[] = [];
  readonly forgotten: UdpFlows[] = [];
  bridgeError: Error | undefined;
  vethError: Error | undefined;
  nftExit = 0;
  routesLoopback = false;
  sysctlFailures: string[] = [];

  async ensureBridge(spec: BridgeSpec): Promise<void> {
    await new Promise(setImmediate);
    this.bridges.push(spec);
    if (this.bridgeError) throw this.bridgeError;
    this.links.add(spec.name);
  }
  async connectPod(spec: VethSpec): Promise<void> {
    fstatSync(spec.podNetlinkFd); // throws if it is closed too early
    await new Promise(setImmediate);
    if (this.vethError) throw this.vethError;
    this.veths.push(spec);
  }
  async deleteLink(name: string): Promise<void> {
    this.links.delete(name);
  }
  linkExists(name: string): boolean {
    return this.links.has(name);
  }
  async deleteUdpFlows(flows: UdpFlows): Promise<void> {
    this.forgotten.push(flows);
  }
  async spawn({ argv, stdin = '' }: { argv: string[]; stdin?: string }) {
    if (argv[1] === '-f') this.scripts.push(stdin);
    return { exitCode: this.nftExit, stdout: '', stderr: 'no permission', timedOut: false };
  }
}

/** A monitor whose pod sockets are open files. */
class FakeMonitor {
  readonly pid = process.pid;
  readonly sockets: number[] = [];
  async socket(): Promise<number> {
    const fd = openSync('/dev/null', 'r');
    this.sockets.push(fd);
    return fd;
  }
}

function setUp(options: Partial<EmbeddedNetworkOptions> = {}) {
  const host = new FakeHost();
  const table = new MemoryAddressTable();
  const network = new EmbeddedNetwork({
    addon: host,
    addresses: table,
    subnet: '10.9.0.0/24',
    mtu: 1400,
    setHostSysctls: async () => host.sysctlFailures,
    routeLoopback: async (_, on) => {
      host.routesLoopback = on;
    },
    ...options,
  });
  const monitor = new FakeMonitor();
  const attach = (sandboxId: string, more: Partial<AttachRequest> = {}) =>
    network.attach({
      sandboxId,
      pod: { name: sandboxId, namespace: 'test', uid: sandboxId },
      hostPorts: [],
      bandwidth: {},
      monitor,
      ...more,
    });
  return { host, table, network, monitor, attach };
}

test('nothing is made on the host before the first pod', async () => {
  const { host, network, attach } = setUp();
  assert.deepEqual(await network.ready(), { ok: true, reason: '' });
  assert.equal(host.bridges.length + host.scripts.length, 0);

  assert.deepEqual(await attach('pod'), {
    ips: ['10.9.0.2'],
    interfaceName: 'eth0',
    mac: 'ca:c1:0a:09:00:02',
    gateway: '10.9.0.1',
  });
  assert.deepEqual(host.bridges, [{ name: 'coracle0', addresses: ['10.9.0.1/24'], mtu: 1400 }]);
  assert.equal(host.scripts.length, 1);
});

test('the pod gets its link through a socket that is closed afterwards', async () => {
  const { host, monitor, attach } = setUp({ subnet6: 'fd00:9::/64', bridge: 'br-test' });
  await attach('pod');
  const [fd] = monitor.sockets;
  assert.ok(fd !== undefined);
  assert.throws(() => closeSync(fd), { code: 'EBADF' });
  assert.deepEqual(host.veths, [
    {
      hostName: hostLinkName('pod'),
      podName: 'eth0',
      bridge: 'br-test',
      podPid: process.pid,
      mtu: 1400,
      mac: 'ca:c1:0a:09:00:02',
      addresses: ['10.9.0.2/24', 'fd00:9::2/64'],
      gateways: ['10.9.0.1', 'fd00:9::1'],
      podNetlinkFd: fd,
    },
  ]);
});

test('pods that come at once share one set-up', async () => {
  const { host, attach } = setUp();
  const pods = await Promise.all(Array.from({ length: 20 }, (_, i) => attach(`pod${i}`)));
  assert.equal(new Set(pods.map((pod) => pod.ips[0])).size, 20);
  assert.equal(host.bridges.length, 1);
});

test('a failed attach holds no address and no socket', async () => {
  const { host, table, monitor, attach } = setUp();
  host.vethError = new Error('create veth pair');
  await assert.rejects(attach('pod'), /create veth pair/);
  assert.deepEqual(table.held(), {});
  const [fd] = monitor.sockets;
  assert.ok(fd !== undefined);
  assert.throws(() => closeSync(fd), { code: 'EBADF' });
  monitor.socket = () => Promise.reject(new Error('the monitor is gone'));
  await assert.rejects(attach('pod'), /the monitor is gone/);
  assert.deepEqual(table.held(), {});
  const missing = Promise.reject(new Error('no namespace'));
  missing.catch(() => {});
  await assert.rejects(attach('pod', { monitor: missing }), /no namespace/);
  assert.deepEqual(table.held(), {});
});

test('a bridge that cannot be made is the reason until it can', async () => {
  const { host, table, network, attach } = setUp();
  host.bridgeError = new Error('create bridge: EPERM');
  const both = await Promise.allSettled([attach('a'), attach('b')]);
  assert.ok(both.every((one) => one.status === 'rejected'));
  assert.deepEqual(table.held(), {});
  assert.deepEqual(await network.ready(), { ok: false, reason: 'create bridge: EPERM' });
  host.bridgeError = undefined;
  assert.deepEqual(await network.ready(), { ok: true, reason: '' });
  await attach('a');
});

test('without nft or forwarding pods are attached and the reasons are shown', async () => {
  const { host, network, attach } = setUp();
  host.nftExit = 1;
  host.sysctlFailures = ['IP forwarding is off'];
  await attach('pod');
  assert.deepEqual(await network.ready(), {
    ok: true,
    reason: 'IP forwarding is off; outbound traffic of pods is not masqueraded: nft: no permission',
  });
});

test('a bridge that someone deleted is made again', async () => {
  const { host, attach } = setUp();
  await attach('a');
  host.links.clear();
  await attach('b');
  assert.equal(host.bridges.length, 2);
});

test('a chosen subnet is kept over restarts', async () => {
  const { table, attach } = setUp({ subnet: undefined });
  const first = await attach('pod');
  const kept = table.committed.get('subnet');
  assert.ok(kept?.kind === 'subnet');

  table.committed.set('subnet', { kind: 'subnet', subnet: '10.77.0.0/16' });
  const again = setUp({ subnet: undefined, addresses: table });
  assert.deepEqual((await again.attach('other')).ips, ['10.77.0.2']);
  assert.ok(first.ips[0]);
  await again.network.recover([{ sandboxId: 'other', ips: ['10.77.0.2'], hostPorts: [] }]);
  assert.deepEqual(table.held(), { '10.77.0.2': 'other' });
});

test('clean-up waits for the last pod, and leaves nothing', async () => {
  const { host, network, attach } = setUp();
  await attach('pod');
  await assert.rejects(network.cleanup(), { kind: 'FailedPrecondition' });
  await network.detach('pod');
  await network.detach('pod');
  await network.cleanup();
  assert.equal(host.links.size, 0);
  assert.equal(host.scripts.at(-1), 'table inet coracle\ndelete table inet coracle\n');
  await attach('next');
  assert.ok(host.linkExists('coracle0'));
});

test('host ports are reserved first, opened before the link, and closed before the address', async () => {
  const { host, table, network, attach } = setUp();
  const hostPorts = [{ protocol: 'tcp', containerPort: 80, hostPort: 8080, hostIp: '' } as const];
  await attach('a', { hostPorts });
  assert.equal(host.routesLoopback, true);
  const links = host.veths.length;
  await assert.rejects(attach('b', { hostPorts }), /leads to sandbox a already/);
  assert.deepEqual(table.held(), { '10.9.0.2': 'a' });
  assert.equal(host.veths.length, links);
  host.nftExit = 1;
  await assert.rejects(network.detach('a'), { kind: 'Unavailable' });
  assert.deepEqual(table.held(), { '10.9.0.2': 'a' });
  host.nftExit = 0;
  await network.detach('a');
  assert.deepEqual(table.held(), {});
  assert.equal(host.routesLoopback, false);
  await attach('b', { hostPorts });
});

test('an attachment that fails or is let go keeps no port and no address', async () => {
  const { host, table, attach } = setUp();
  const hostPorts = [{ protocol: 'tcp', containerPort: 80, hostPort: 8080, hostIp: '' } as const];
  host.vethError = new Error('create veth pair');
  await assert.rejects(attach('a', { hostPorts }), /create veth pair/);
  host.vethError = undefined;
  const gone = new AbortController();
  gone.abort(new CoracleError('FailedPrecondition', 'stopped meanwhile'));
  await assert.rejects(attach('a', { hostPorts, signal: gone.signal }), /stopped meanwhile/);
  assert.deepEqual(table.held(), {});
  await attach('b', { hostPorts });
  await assert.rejects(attach('b'), { kind: 'AlreadyExists' });
  assert.deepEqual(Object.values(table.held()), ['b']);
});

test('limits of bandwidth are not kept, and the log says so', async () => {
  const told: object[] = [];
  const { attach } = setUp({ log: { warn: (fields) => told.push(fields) } });
  await attach('a');
  await attach('b', { bandwidth: { egress: 1000 } });
  assert.deepEqual(told, [{ id: 'b', ingress: undefined, egress: 1000 }]);
});

test('pods may have IPv6 alone', async () => {
  const { host, attach } = setUp({ subnet: 'none', subnet6: 'fd00:9::/64' });
  assert.deepEqual(await attach('pod'), {
    ips: ['fd00:9::2'],
    interfaceName: 'eth0',
    mac: 'ca:c1:00:00:00:02',
    gateway: 'fd00:9::1',
  });
  assert.deepEqual(host.bridges[0]?.addresses, ['fd00:9::1/64']);
});

test('bad options are refused by field', () => {
  const table: [options: Partial<EmbeddedNetworkOptions>, field: string][] = [
    [{ subnet: 'ten' }, 'network.subnet'],
    [{ subnet: 'fd00::/64' }, 'network.subnet'],
    [{ subnet: '10.0.0.0/31' }, 'network.subnet'],
    [{ subnet: 'none' }, 'network.subnet'],
    [{ subnet6: '10.0.0.0/16' }, 'network.subnet6'],
    [{ subnet6: 'fd00::/127' }, 'network.subnet6'],
    [{ bridge: '' }, 'network.bridge'],
    [{ bridge: 'sixteen-bytes-xx' }, 'network.bridge'],
    [{ bridge: 'a"b' }, 'network.bridge'],
    [{ mtu: 100 }, 'network.mtu'],
    [{ mtu: 1400.5 }, 'network.mtu'],
  ];
  for (const [options, field] of table) {
    assert.throws(
      () => setUp(options),
      (error: unknown) => error instanceof CoracleError && error.message.startsWith(`${field}: `),
    );
  }
});

test('link names fit and differ, MACs are local unicast ones', () => {
  assert.match(hostLinkName('pod'), /^cor[0-9a-f]{12}$/);
  assert.notEqual(hostLinkName('pod'), hostLinkName('pod2'));
  assert.equal(macOf('255.254.1.2'), 'ca:c1:ff:fe:01:02');
  assert.equal(Number.parseInt(macOf('10.0.0.1').slice(0, 2), 16) & 3, 2);
});
