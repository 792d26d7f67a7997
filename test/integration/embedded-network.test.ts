/**
 * The embedded network with real monitors, links and rules. The file runs itself a second time
 * inside a network namespace of its own, so that the host's network stays untouched.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { closeSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { addon } from '../../src/native/addon.ts';
import type { MonitorConnection } from '../../src/native/types.ts';
import { EmbeddedNetwork, hostLinkName } from '../../src/network/embedded.ts';
import type { PodNetwork } from '../../src/network/index.ts';
import { MemoryAddressTable } from '../helpers/address-table.ts';
import { attachRequest, barePod, inPod as runInPod } from '../helpers/bare-pod.ts';

const INSIDE = 'CORACLE_TEST_OWN_NETNS';

/** Runs a program of busybox in a pod's network; resolves with its output. */
function inPod(pod: MonitorConnection, ...argv: string[]): Promise<string> {
  return runInPod(pod, 'busybox', ...argv);
}

/** What a server says, tried until it listens. */
async function ask(pod: MonitorConnection, ip: string, port: number): Promise<string> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await inPod(pod, 'nc', '-w', '3', ip, String(port));
    } catch (error) {
      if (attempt === 20) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** A server in a pod that tells each client its address. */
function echoAddresses(pod: MonitorConnection, port: number): { stop(): void } {
  const script = `require('net').createServer((s) => s.end(s.remoteAddress)).listen(${port}, '0.0.0.0')`;
  const argv = ['-t', String(pod.pid), '-n', process.execPath, '-e', script];
  const server = spawn('nsenter', argv, { stdio: 'ignore' });
  return { stop: () => server.kill('SIGKILL') };
}

async function until(what: string, condition: () => boolean): Promise<void> {
  for (let i = 0; !condition(); i++) {
    assert.ok(i < 300, what);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function nftTables(): string {
  return execFileSync('nft', ['list', 'tables'], { encoding: 'utf8' });
}

async function openFiles(): Promise<number> {
  return (await readdir('/proc/self/fd')).length;
}

if (process.env[INSIDE] === undefined) {
  test('embedded network, in a network namespace of its own', () => {
    const argv = ['--net', process.execPath, ...process.execArgv, fileURLToPath(import.meta.url)];
    const env = { ...process.env, [INSIDE]: '1', NODE_TEST_CONTEXT: undefined };
    const result = spawnSync('unshare', argv, { env, encoding: 'utf8', timeout: 120_000 });
    assert.equal(result.status, 0, `${result.stdout}\n${result.stderr}`);
    process.stdout.write(result.stdout);
  });
} else {
  describe('embedded network', () => {
    let dir = '';
    const table = new MemoryAddressTable();
    const network = new EmbeddedNetwork({ addon, addresses: table, subnet6: 'fd00:88::/64' });
    const pods: MonitorConnection[] = [];
    const nets: PodNetwork[] = [];

    async function attach(id: string): Promise<PodNetwork> {
      const connection = await barePod(dir, id);
      pods.push(connection);
      const net = await network.attach(attachRequest(id, connection));
      nets.push(net);
      return net;
    }
    function pod(i: number): { connection: MonitorConnection; ip: string; ip6: string } {
      const connection = pods[i];
      const [ip, ip6] = nets[i]?.ips ?? [];
      assert.ok(connection && ip && ip6);
      return { connection, ip, ip6 };
    }

    before(async () => {
      dir = await mkdtemp(join(tmpdir(), 'coracle-network-'));
      execFileSync('busybox', ['ip', 'link', 'set', 'lo', 'up']);
    });
    after(async () => {
      for (const connection of pods) {
        await connection.shutdown().catch(() => {});
        connection.close();
      }
      await rm(dir, { recursive: true });
    });

    test('nothing is there before the first pod, everything after it', async () => {
      assert.deepEqual(await network.ready(), { ok: true, reason: '' });
      assert.ok(!addon.linkExists('coracle0'));
      assert.equal(nftTables(), '');

      const first = await attach('first');
      assert.deepEqual(first, {
        ips: ['10.88.0.2', 'fd00:88::2'],
        interfaceName: 'eth0',
        mac: 'ca:c1:0a:58:00:02',
        gateway: '10.88.0.1',
      });
      assert.deepEqual((await attach('second')).ips, ['10.88.0.3', 'fd00:88::3']);
      assert.equal(nftTables(), 'table inet coracle\n');
      assert.equal(await readFile('/proc/sys/net/ipv4/ip_forward', 'utf8'), '1\n');
      assert.equal(await readFile('/proc/sys/net/ipv6/conf/all/forwarding', 'utf8'), '1\n');
      assert.equal(await readFile('/proc/sys/net/ipv6/conf/coracle0/accept_ra', 'utf8'), '0\n');
      assert.deepEqual(await network.ready(), { ok: true, reason: '' });
    });

    test('pods ping each other and the host', async () => {
      const [a, b] = [pod(0), pod(1)];
      for (const target of [b.ip, b.ip6, '10.88.0.1', 'fd00:88::1', '127.0.0.1']) {
        const output = await inPod(a.connection, 'ping', '-c', '1', '-W', '2', target);
        assert.match(output, /1 packets received/, target);
      }
      assert.match(await inPod(a.connection, 'ip', 'link', 'show', 'eth0'), /ca:c1:0a:58:00:02/);
    });

    test('a pod connects to a pod, unmasqueraded', async () => {
      const [a, b] = [pod(0), pod(1)];
      const server = echoAddresses(b.connection, 7001);
      try {
        assert.equal(await ask(a.connection, b.ip, 7001), a.ip);
      } finally {
        server.stop();
      }
    });

    test('a pod connects to a listener on the host', async () => {
      const server = createServer((socket) => socket.end('host'));
      await new Promise<void>((resolve) => server.listen(7002, '10.88.0.1', resolve));
      try {
        assert.equal(await ask(pod(0).connection, '10.88.0.1', 7002), 'host');
      } finally {
        server.close();
      }
    });

    test('beyond the host a pod appears under the address of the host', async () => {
      // The world knows no way to 10.88.0.0/16: only masqueraded packets are answered.
      await addon.ensureBridge({ name: 'world0', addresses: ['192.0.2.1/24'], mtu: 1500 });
      const world = await barePod(dir, 'world');
      const socket = await world.socket(16, 3, 0);
      const server = echoAddresses(world, 7003);
      try {
        await addon.connectPod({
          hostName: 'world1',
          podName: 'eth0',
          bridge: 'world0',
          podPid: world.pid,
          mtu: 1500,
          mac: 'ca:c1:c0:00:02:02',
          addresses: ['192.0.2.2/24'],
          gateways: [],
          podNetlinkFd: socket,
        });
        assert.equal(await ask(pod(0).connection, '192.0.2.2', 7003), '192.0.2.1');
      } finally {
        server.stop();
        closeSync(socket);
        await world.shutdown();
        world.close();
        await addon.deleteLink('world0');
      }
    });

    test('a failed attach leaves no link, no address and no descriptor', async () => {
      const connection = await barePod(dir, 'failing');
      pods.push(connection);
      const request = attachRequest('failing', connection);
      const held = table.held();
      // A link of the pod's own that is in the way.
      await inPod(connection, 'ip', 'link', 'add', 'name', 'eth0', 'type', 'bridge');
      const files = await openFiles();
      await assert.rejects(network.attach(request), {
        step: 'create veth pair',
        code: 'EEXIST',
      });
      assert.ok(!addon.linkExists(hostLinkName('failing')));
      assert.deepEqual(table.held(), held);
      assert.equal(await openFiles(), files);
    });

    test('many pods at once', async (t) => {
      const connections = await Promise.all(
        Array.from({ length: 20 }, (_, i) => barePod(dir, `many${i}`)),
      );
      pods.push(...connections);
      const times: number[] = [];
      const all = await Promise.all(
        connections.map(async (connection, i) => {
          const begun = performance.now();
          const net = await network.attach(attachRequest(`many${i}`, connection));
          times.push(performance.now() - begun);
          return net;
        }),
      );
      assert.equal(new Set(all.map((net) => net.ips[0])).size, 20);
      times.sort((a, b) => a - b);
      t.diagnostic(`attach, 20 at once: median ${times[10]?.toFixed(1)} ms`);
      const last = connections[19];
      assert.ok(last);
      assert.match(
        await inPod(last, 'ping', '-c', '1', '-W', '2', pod(0).ip),
        /1 packets received/,
      );
    });

    test('a pod that ended leaves no link behind, and its address rests', async () => {
      const { connection, ip } = pod(1);
      assert.ok(addon.linkExists(hostLinkName('second')));
      await connection.shutdown();
      await network.detach('second');
      await until('the link is gone', () => !addon.linkExists(hostLinkName('second')));
      assert.ok(!(ip in table.held()));
      assert.notEqual((await attach('third')).ips[0], ip);
    });

    test('after a restart the dead lose their addresses, the living stay connected', async () => {
      const restarted = new EmbeddedNetwork({
        addon,
        addresses: new MemoryAddressTable(table.committed),
        subnet6: 'fd00:88::/64',
      });
      await restarted.recover(
        ['first', 'third'].map((sandboxId) => ({ sandboxId, ips: [], hostPorts: [] })),
      );
      assert.deepEqual(Object.values(table.held()).sort(), ['first', 'first', 'third', 'third']);
      const connection = await barePod(dir, 'fourth');
      pods.push(connection);
      await restarted.attach(attachRequest('fourth', connection));
      assert.match(
        await inPod(connection, 'ping', '-c', '1', '-W', '2', pod(0).ip),
        /1 packets received/,
      );
      await assert.rejects(restarted.cleanup(), { kind: 'FailedPrecondition' });
    });

    test('rules that someone flushed come back with the next look', async () => {
      execFileSync('nft', ['flush', 'ruleset']);
      await addon.deleteLink('coracle0');
      assert.deepEqual(await network.ready(), { ok: true, reason: '' });
      assert.equal(nftTables(), 'table inet coracle\n');
      assert.ok(addon.linkExists('coracle0'));
    });

    test('a firewall that drops forwarded packets is told, until it lets the bridge through', async () => {
      const chain = 'FORWARD { type filter hook forward priority 0; policy drop; }';
      const drops = `add table ip filter\nadd chain ip filter ${chain}\n`;
      const looking = () =>
        new EmbeddedNetwork({
          addon,
          addresses: new MemoryAddressTable(new Map(table.committed)),
          subnet6: 'fd00:88::/64',
        });
      const living = [{ sandboxId: 'first', ips: [], hostPorts: [] }];
      execFileSync('nft', ['-f', '-'], { input: drops });
      const told = looking();
      await told.recover(living);
      const { ok, reason } = await told.ready();
      assert.ok(ok);
      assert.match(reason, /^another firewall drops .*\(chain ip filter FORWARD\).* coracle0$/);
      const accepts = ['iifname', 'coracle0', 'accept'];
      execFileSync('nft', ['add', 'rule', 'ip', 'filter', 'FORWARD', ...accepts]);
      const content = looking();
      await content.recover(living);
      assert.deepEqual(await content.ready(), { ok: true, reason: '' });
      execFileSync('nft', ['delete', 'table', 'ip', 'filter']);
    });

    test('pods with IPv6 alone reach each other and the host', async () => {
      const alone = new EmbeddedNetwork({
        addon,
        addresses: new MemoryAddressTable(),
        bridge: 'six0',
        subnet: 'none',
        subnet6: 'fd00:66::/64',
      });
      const six: MonitorConnection[] = [];
      for (const id of ['six-a', 'six-b']) {
        const connection = await barePod(dir, id);
        pods.push(connection);
        six.push(connection);
        const net = await alone.attach(attachRequest(id, connection));
        assert.deepEqual(net.ips, [`fd00:66::${six.length + 1}`]);
      }
      const [a] = six;
      assert.ok(a);
      for (const target of ['fd00:66::3', 'fd00:66::1']) {
        assert.match(await inPod(a, 'ping', '-c', '1', '-W', '2', target), /1 packets received/);
      }
      for (const connection of six) await connection.shutdown();
      for (const id of ['six-a', 'six-b']) await alone.detach(id);
      await alone.cleanup();
    });

    test('clean-up leaves nothing on the host', async () => {
      const records = new MemoryAddressTable(table.committed);
      const last = new EmbeddedNetwork({ addon, addresses: records });
      await last.recover([]);
      await last.cleanup();
      await last.cleanup();
      assert.deepEqual(table.held(), {});
      assert.ok(!addon.linkExists('coracle0'));
      assert.equal(nftTables(), '');
    });
  });
}
