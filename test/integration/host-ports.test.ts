/**
 * Host ports of the embedded network: real pods, rules and packets. The file runs itself a second
 * time inside a network namespace of its own, which is the host; a further pod is another host.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync } from 'node:fs';
import { mkdtemp, readFile, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { addon } from '../../src/native/addon.ts';
import type { MonitorConnection } from '../../src/native/types.ts';
import { EmbeddedNetwork } from '../../src/network/embedded.ts';
import type { HostPort } from '../../src/network/index.ts';
import { MemoryAddressTable } from '../helpers/address-table.ts';
import { answering, ask, attachRequest, barePod, inPod } from '../helpers/bare-pod.ts';

const INSIDE = 'CORACLE_TEST_OWN_NETNS';

/** The host's addresses on the link to the other host. */
const HOST = '192.0.2.1';
const HOST6 = '2001:db8::1';

function hostPort(port: number, more: Partial<HostPort> = {}): HostPort {
  return { protocol: 'tcp', containerPort: 80, hostPort: port, hostIp: '', ...more };
}

function rules(): string {
  return execFileSync('nft', ['list', 'ruleset'], { encoding: 'utf8' });
}

function routesLoopback(): Promise<string> {
  return readFile('/proc/sys/net/ipv4/conf/coracle0/route_localnet', 'utf8');
}

if (process.env[INSIDE] === undefined) {
  test('host ports, in a network namespace of their own', () => {
    const argv = [
      '--net',
      '--mount',
      process.execPath,
      ...process.execArgv,
      fileURLToPath(import.meta.url),
    ];
    const env = { ...process.env, [INSIDE]: '1', NODE_TEST_CONTEXT: undefined };
    const result = spawnSync('unshare', argv, { env, encoding: 'utf8', timeout: 180_000 });
    assert.equal(result.status, 0, `${result.stdout}\n${result.stderr}`);
    process.stdout.write(result.stdout);
  });
} else {
  describe('host ports', () => {
    let dir = '';
    const table = new MemoryAddressTable();
    let network = open();
    const pods: MonitorConnection[] = [];
    const servers: { stop(): Promise<void> }[] = [];
    let other: MonitorConnection;
    let web: MonitorConnection;
    let client: MonitorConnection;

    function open(): EmbeddedNetwork {
      const addresses = new MemoryAddressTable(table.committed);
      return new EmbeddedNetwork({ addon, addresses, subnet6: 'fd00:88::/64' });
    }

    async function pod(id: string, hostPorts: HostPort[] = []): Promise<MonitorConnection> {
      const connection = await barePod(dir, id);
      pods.push(connection);
      await network.attach(attachRequest(id, connection, { hostPorts }));
      return connection;
    }

    /** A neighbour that routes to us, as another machine does. */
    async function otherHost(): Promise<MonitorConnection> {
      const addresses = [`${HOST}/24`, `${HOST6}/64`];
      await addon.ensureBridge({ name: 'world0', addresses, mtu: 1500 });
      const connection = await barePod(dir, 'other-host');
      pods.push(connection);
      const socket = await connection.socket(16, 3, 0);
      await addon.connectPod({
        hostName: 'world1',
        podName: 'eth0',
        bridge: 'world0',
        podPid: connection.pid,
        mtu: 1500,
        mac: 'ca:c1:c0:00:02:02',
        addresses: ['192.0.2.2/24', '2001:db8::2/64'],
        gateways: [HOST, HOST6],
        podNetlinkFd: socket,
      });
      closeSync(socket);
      return connection;
    }

    before(async () => {
      dir = await mkdtemp(join(tmpdir(), 'coracle-ports-'));
      execFileSync('busybox', ['ip', 'link', 'set', 'lo', 'up']);
      other = await otherHost();
      client = await pod('client');
      assert.ok(!rules().includes('coracle/ports'), 'no rules for pods without host ports');
      web = await pod('web', [
        hostPort(8080),
        hostPort(8080, { protocol: 'udp' }),
        hostPort(8081, { hostIp: HOST }),
        hostPort(8082, { hostIp: '127.0.0.1' }),
        hostPort(8083, { hostIp: HOST6 }),
        hostPort(8084, { hostIp: '0.0.0.0' }),
      ]);
      servers.push(await answering(web, 'web', 80));
    });
    after(async () => {
      for (const server of servers) await server.stop();
      for (const connection of pods) {
        await connection.shutdown().catch(() => {});
        connection.close();
      }
      await rm(dir, { recursive: true });
    });

    for (const protocol of ['tcp', 'udp'] as const) {
      test(`${protocol}: from another host, which the pod sees`, async () => {
        assert.equal(await ask(other, protocol, HOST, 8080), 'web 192.0.2.2');
        assert.equal(await ask(other, protocol, HOST6, 8080), 'web 2001:db8::2');
      });

      test(`${protocol}: from the host, over its addresses and 127.0.0.1`, async () => {
        assert.equal(await ask(undefined, protocol, HOST, 8080), `web ${HOST}`);
        assert.equal(await ask(undefined, protocol, HOST6, 8080), `web ${HOST6}`);
        assert.equal(await ask(undefined, protocol, '127.0.0.1', 8080), 'web 10.88.0.1');
        assert.equal(await ask(undefined, protocol, '::1', 8080), 'ECONNREFUSED');
      });

      test(`${protocol}: from a pod, and from the pod itself`, async () => {
        assert.equal(await ask(client, protocol, HOST, 8080), 'web 10.88.0.1');
        assert.equal(await ask(client, protocol, '10.88.0.1', 8080), 'web 10.88.0.1');
        assert.equal(await ask(client, protocol, HOST6, 8080), 'web fd00:88::1');
        assert.equal(await ask(web, protocol, HOST, 8080), 'web 10.88.0.1');
        assert.equal(await ask(web, protocol, HOST6, 8080), 'web fd00:88::1');
      });
    }

    test('a port of one address is closed on the others', async () => {
      assert.equal(await ask(other, 'tcp', HOST, 8081), 'web 192.0.2.2');
      assert.equal(await ask(undefined, 'tcp', '127.0.0.1', 8081), 'ECONNREFUSED');
      assert.equal(await ask(undefined, 'tcp', '127.0.0.1', 8082), 'web 10.88.0.1');
      assert.equal(await ask(other, 'tcp', HOST, 8082), 'ECONNREFUSED');
      assert.equal(await ask(other, 'tcp', HOST6, 8083), 'web 2001:db8::2');
      assert.equal(await ask(other, 'tcp', HOST, 8083), 'ECONNREFUSED');
      assert.equal(await ask(other, 'tcp', HOST, 8084), 'web 192.0.2.2');
      assert.equal(await ask(other, 'tcp', HOST6, 8084), 'ECONNREFUSED');
    });

    test('nobody on a wire reaches the loopback addresses of the host', async () => {
      for (const [from, gateway] of [
        [other, HOST],
        [client, '10.88.0.1'],
      ] as const) {
        // The sender's own loopback must not keep the packet, nor its routing refuse it.
        await inPod(from, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet');
        await inPod(from, 'busybox', 'ip', 'link', 'set', 'lo', 'down');
        const net = ['busybox', 'ip', 'route', 'add', 'table', '9', '127.0.0.0/8', 'via', gateway];
        await inPod(from, ...net);
        for (const rule of ['add table 9 pref 1', 'del pref 0', 'add table local pref 2']) {
          await inPod(from, 'busybox', 'ip', 'rule', ...rule.split(' '));
        }
        for (const port of [8080, 8082]) {
          assert.equal(await ask(from, 'tcp', '127.0.0.1', port), 'timeout');
        }
        await inPod(from, 'busybox', 'ip', 'route', 'flush', 'table', '9');
        await inPod(from, 'busybox', 'ip', 'link', 'set', 'lo', 'up');
      }
      assert.match(rules(), /iifname != "lo" ip daddr 127\.0\.0\.0\/8 drop/);
    });

    test('a port that is taken is refused by name before anything is made', async () => {
      const connection = await barePod(dir, 'late');
      pods.push(connection);
      const held = table.held();
      const refused: [HostPort, RegExp][] = [
        [hostPort(8080), /host tcp port 8080 leads to sandbox web already/],
        [hostPort(8080, { hostIp: HOST }), /host tcp 192\.0\.2\.1:8080 leads to sandbox web/],
        [hostPort(8081), /host tcp port 8081 leads to sandbox web/],
        [hostPort(8084, { hostIp: '127.0.0.1' }), /8084 leads to sandbox web/],
      ];
      const before = rules();
      for (const [port, message] of refused) {
        const request = attachRequest('late', connection, { hostPorts: [port] });
        await assert.rejects(network.attach(request), { kind: 'FailedPrecondition', message });
      }
      assert.deepEqual(table.held(), held);
      assert.equal(rules(), before);
      // Of another protocol, of another address: nobody's.
      await network.attach(
        attachRequest('late', connection, {
          hostPorts: [
            hostPort(8081, { protocol: 'sctp' }),
            hostPort(8081, { hostIp: '127.0.0.1' }),
          ],
        }),
      );
      servers.push(await answering(connection, 'late', 80));
      assert.equal(await ask(undefined, 'tcp', '127.0.0.1', 8081), 'late 10.88.0.1');
      assert.match(rules(), /sctp \. 8081 : 10\.88\.0\.\d+ \. 80/);
      await network.detach('late');
      assert.ok(!rules().includes('sctp . 8081'));
    });

    test('rules that someone flushed come back with the next host port', async () => {
      execFileSync('nft', ['flush', 'ruleset']);
      await pod('mender', [hostPort(8090)]);
      assert.equal(await ask(other, 'tcp', HOST, 8080), 'web 192.0.2.2');
      await network.detach('mender');
      assert.ok(!rules().includes('8090'));
    });

    test('without nft a pod that wants host ports is refused, and holds nothing', async () => {
      const connection = await barePod(dir, 'unlucky');
      pods.push(connection);
      const held = table.held();
      // A host that has had no port open yet: there is no table that would have to go.
      const fresh = open();
      const nft = execFileSync('sh', ['-c', 'command -v nft'], { encoding: 'utf8' }).trim();
      const real = await realpath(nft);
      execFileSync('mount', ['--bind', '/dev/null', real]);
      try {
        const request = attachRequest('unlucky', connection, { hostPorts: [hostPort(8092)] });
        const refused = { kind: 'Unavailable', message: /nft .* is not installed/ };
        await assert.rejects(fresh.attach(request), refused);
        await fresh.detach('unlucky');
        await assert.rejects(fresh.attach(request), refused);
      } finally {
        execFileSync('umount', [real]);
      }
      assert.deepEqual(table.held(), held);
    });

    test('ports stay open over a restart, those of the dead do not', async () => {
      await pod('doomed', [hostPort(8091)]);
      assert.match(rules(), /tcp \. 8091/);
      network = open();
      const hostPorts = [hostPort(8080), hostPort(8080, { protocol: 'udp' })];
      await network.recover([
        { sandboxId: 'web', ips: ['10.88.0.3', 'fd00:88::3'], hostPorts },
        { sandboxId: 'client', ips: ['10.88.0.2', 'fd00:88::2'], hostPorts: [] },
      ]);
      assert.ok(!rules().includes('8091'));
      assert.equal(await ask(other, 'tcp', HOST, 8080), 'web 192.0.2.2');
      const connection = await barePod(dir, 'second-web');
      pods.push(connection);
      await assert.rejects(
        network.attach(attachRequest('second-web', connection, { hostPorts: [hostPort(8080)] })),
        { kind: 'FailedPrecondition', message: /sandbox web/ },
      );
    });

    test('a client that keeps sending reaches the next pod on the same port', async () => {
      const { createSocket } = await import('node:dgram');
      const socket = createSocket('udp4');
      const replies: string[] = [];
      socket.on('message', (data) => replies.push(String(data)));
      const send = setInterval(() => socket.send('?', 8095, HOST), 20);
      try {
        for (const name of ['first', 'second']) {
          const connection = await pod(name, [hostPort(8095, { protocol: 'udp' })]);
          const server = await answering(connection, name, 80);
          servers.push(server);
          const end = Date.now() + 3000;
          while (!replies.some((reply) => reply.startsWith(name)) && Date.now() < end) {
            await new Promise((resolve) => setTimeout(resolve, 20));
          }
          assert.ok(
            replies.some((reply) => reply.startsWith(name)),
            `${name} was not reached`,
          );
          await server.stop();
          await connection.shutdown();
          await network.detach(name);
        }
      } finally {
        clearInterval(send);
        socket.close();
      }
    });

    test('many host ports at once, opened and closed in few transactions', async (t) => {
      const connections = await Promise.all(
        Array.from({ length: 30 }, (_, i) => barePod(dir, `many${i}`)),
      );
      pods.push(...connections);
      const begun = performance.now();
      await Promise.all(
        connections.map((connection, i) =>
          network.attach(
            attachRequest(`many${i}`, connection, { hostPorts: [hostPort(9000 + i)] }),
          ),
        ),
      );
      const attached = performance.now();
      assert.equal(rules().match(/tcp \. 90\d\d : 10\.88/g)?.length, 30);
      await Promise.all(connections.map((_, i) => network.detach(`many${i}`)));
      assert.ok(!/tcp \. 90\d\d/.test(rules()));
      const [up, down] = [attached - begun, performance.now() - attached];
      t.diagnostic(`30 pods with a host port: ${up.toFixed(0)} ms, detached ${down.toFixed(0)} ms`);
    });

    test('with the last host port the table goes, and loopback stays at home', async () => {
      assert.equal(await routesLoopback(), '1\n');
      await network.detach('web');
      assert.ok(!rules().includes('coracle/ports'));
      assert.equal(await routesLoopback(), '0\n');
      assert.deepEqual(await network.ready(), { ok: true, reason: '' });
    });
  });
}
