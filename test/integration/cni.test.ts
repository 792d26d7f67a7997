/**
 * CNI with Debian's plugins, real monitors and real rules. The file runs itself a second time
 * inside network and mount namespaces of its own, so that the host stays untouched.
 */
import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { addon, monitorExecutable } from '../../src/native/addon.ts';
import type { MonitorConnection } from '../../src/native/types.ts';
import { CniNetwork, type CniNetworkOptions } from '../../src/network/cni/index.ts';
import type { AttachRequest, HostPort, PodNetwork } from '../../src/network/index.ts';
import { attachRequest, idOf, MemoryCniTable } from '../helpers/cni.ts';

const INSIDE = 'CORACLE_TEST_OWN_NETNS';
const PLUGINS = '/usr/lib/cni';
const run = promisify(execFile);

interface Pod {
  readonly id: string;
  readonly connection: MonitorConnection;
}

/** Runs a program of busybox in a pod's network; resolves with its output. */
async function inPod({ connection }: Pod, ...argv: string[]): Promise<string> {
  const all = ['-t', String(connection.pid), '-n', 'busybox', ...argv];
  return (await run('nsenter', all, { timeout: 20_000 })).stdout;
}

async function assertPings(pod: Pod, ...targets: string[]): Promise<void> {
  for (const target of targets) {
    const output = await inPod(pod, 'ping', '-c', '1', '-W', '3', target).catch(String);
    assert.match(output, /1 packets received/, target);
  }
}

/** What a server says, tried until it listens. */
async function ask(from: Pod | undefined, ip: string, port: number): Promise<string> {
  for (let attempt = 0; ; attempt++) {
    try {
      const argv = ['nc', '-w', '3', ip, String(port)];
      if (from) return await inPod(from, ...argv);
      return (await run('busybox', argv, { timeout: 10_000 })).stdout;
    } catch (error) {
      if (attempt === 20) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** A server in a pod that tells each client that it has been reached. */
function answer({ connection }: Pod, port: number): { stop(): void } {
  const script = `require('net').createServer((s) => s.end('pod')).listen(${port}, '::')`;
  const argv = ['-t', String(connection.pid), '-n', process.execPath, '-e', script];
  const server = spawn('nsenter', argv, { stdio: 'ignore' });
  return { stop: () => server.kill('SIGKILL') };
}

const hostPort = (from: number, to: number, hostIp = ''): HostPort => ({
  protocol: 'tcp',
  containerPort: to,
  hostPort: from,
  hostIp,
});

/** Links of the host, without what stays by design: bridges and lo. */
function veths(): string[] {
  return execFileSync('ip', ['-o', 'link', 'show', 'type', 'veth'], { encoding: 'utf8' })
    .split('\n')
    .filter(Boolean);
}

/** Chains and rules of single pods: the plugins leave those that all pods share. */
function podRules(tool: string): string[] {
  const text = execFileSync(`${tool}-save`, ['-t', 'nat'], { encoding: 'utf8' });
  return text.split('\n').filter((line) => /CNI-(DN-)?[0-9a-f]{8}/.test(line));
}

function pinned(dir: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.split(' ')[4]?.startsWith(dir));
}

/** A link goes once the kernel has freed its namespace. */
async function until(what: string, condition: () => boolean): Promise<void> {
  for (let i = 0; !condition(); i++) {
    assert.ok(i < 500, what);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function bandwidthMissing(): string | false {
  const script = [
    'ip link add probe0 type ifb',
    'ip link set probe0 up',
    'tc qdisc add dev probe0 root tbf rate 1mbit burst 32kbit latency 25ms',
    'ip link add probe1 type veth peer name probe2',
    'tc qdisc add dev probe1 ingress',
    'tc filter add dev probe1 parent ffff: protocol all u32 match u32 0 0 action mirred egress redirect dev probe0',
  ].join(' && ');
  const { status, stderr } = spawnSync('unshare', ['-n', 'sh', '-c', script], { encoding: 'utf8' });
  return status === 0 ? false : `the kernel has no ifb, tbf or mirred: ${stderr.trim()}`;
}

if (process.env[INSIDE] === undefined) {
  const skip = existsSync(PLUGINS) ? false : 'containernetworking-plugins is not installed';
  test('CNI, in namespaces of its own', { skip }, async (t) => {
    const argv = [
      '--net',
      '--mount',
      process.execPath,
      ...process.execArgv,
      fileURLToPath(import.meta.url),
    ];
    const env = { ...process.env, [INSIDE]: '1', NODE_TEST_CONTEXT: undefined };
    const result = spawnSync('unshare', argv, { env, encoding: 'utf8', timeout: 300_000 });
    process.stdout.write(result.stdout);
    assert.equal(result.status, 0, `${result.stdout}\n${result.stderr}`);
    // What was skipped inside shows outside as well.
    for (const [, name, reason] of result.stdout.matchAll(/^\s*ok \d+ - (.*) # SKIP (.*)$/gm)) {
      await t.test(name, { skip: reason ?? true });
    }
  });
} else {
  describe('CNI with real plugins', () => {
    let base = '';
    let table: MemoryCniTable;
    let network: CniNetwork;
    let pods: Pod[] = [];
    let last = 0;
    const dataDir = () => join(base, 'addresses');
    const netnsDir = () => join(base, 'netns');

    async function open(
      timeoutMs = 20_000,
      native: CniNetworkOptions['addon'] = addon,
    ): Promise<CniNetwork> {
      return CniNetwork.open({
        addon: native,
        confDir: join(base, 'conf'),
        binDirs: [join(base, 'bin'), PLUGINS],
        timeoutMs,
        results: table,
        netnsDir: netnsDir(),
      });
    }

    async function configure(plugins: object[], name = 'net', cniVersion = '1.0.0') {
      const list = JSON.stringify({ cniVersion, name, plugins });
      await rm(join(base, 'conf'), { recursive: true });
      await mkdir(join(base, 'conf'));
      await writeFile(join(base, 'conf', '10-net.conflist'), list);
      await network?.close();
      network = await open();
    }

    /** host-local's configuration, a range for each subnet. */
    const ipam = (...subnets: string[]) => ({
      type: 'host-local',
      dataDir: dataDir(),
      ranges: subnets.map((subnet) => [{ subnet }]),
      routes: subnets.map((subnet) => ({ dst: subnet.includes(':') ? '::/0' : '0.0.0.0/0' })),
    });
    const bridge = (...subnets: string[]) => ({
      type: 'bridge',
      bridge: 'cni0',
      isGateway: true,
      ipMasq: true,
      hairpinMode: true,
      ipam: ipam(...subnets),
    });
    const portmap = { type: 'portmap', capabilities: { portMappings: true } };

    /** A pod without containers: a monitor that has made the namespaces. */
    async function makePod(): Promise<Pod> {
      last += 1;
      const id = idOf(last);
      const connection = addon.startMonitor({
        executable: monitorExecutable(),
        podId: id,
        socket: join(base, `${last}.sock`),
      });
      const pod = { id, connection };
      pods.push(pod);
      await connection.sandbox({
        net: true,
        ipc: true,
        uts: true,
        sharedPid: false,
        attached: true,
        hostname: `pod-${last}`,
        shmSize: 0,
        sysctls: [],
        rootDir: base,
        exitDir: base,
      });
      return pod;
    }

    async function attach(more: Partial<AttachRequest> = {}): Promise<[Pod, PodNetwork]> {
      const pod = await makePod();
      const { id, connection } = pod;
      const request = { monitor: connection, ...more };
      return [pod, await network.attach(attachRequest(id, request))];
    }

    /** As StopPodSandbox does: the monitor ends first. */
    async function stop(...stopped: Pod[]): Promise<void> {
      for (const pod of stopped) {
        await pod.connection.shutdown();
        pod.connection.close();
        pods = pods.filter((each) => each !== pod);
        await network.detach(pod.id);
      }
    }

    /** Files of host-local that hold an address. */
    async function addresses(): Promise<string[]> {
      const found = await readdir(dataDir(), { recursive: true }).catch((): string[] => []);
      return found.filter((path) => /\/[0-9a-f]+[.:][0-9a-f.:]+$/.test(path)).sort();
    }

    async function assertNothingLeft(): Promise<void> {
      assert.deepEqual(await addresses(), []);
      assert.deepEqual([...table.committed.keys()], []);
      assert.deepEqual(pinned(netnsDir()), []);
      assert.deepEqual(await readdir(netnsDir()).catch(() => []), []);
      await until(`links are gone: ${veths()}`, () => veths().length === 0);
      for (const tool of ['iptables', 'ip6tables']) assert.deepEqual(podRules(tool), [], tool);
    }

    before(() => {
      execFileSync('busybox', ['ip', 'link', 'set', 'lo', 'up']);
    });
    beforeEach(async () => {
      base = await mkdtemp(join(tmpdir(), 'coracle-cni-'));
      for (const dir of ['conf', 'bin']) await mkdir(join(base, dir));
      table = new MemoryCniTable();
    });
    afterEach(async () => {
      for (const { connection } of pods.splice(0)) {
        await connection.shutdown().catch(() => {});
        connection.close();
      }
      await network.recover([]);
      await network.close();
      try {
        await assertNothingLeft();
      } finally {
        spawnSync('ip', ['link', 'delete', 'cni0']);
        await rm(base, { recursive: true });
      }
    });
    after(() => network?.close());

    test('bridge, portmap, tuning and loopback connect pods with each other and the host', async () => {
      await configure([
        bridge('10.60.0.0/24'),
        { type: 'loopback' },
        portmap,
        { type: 'tuning', sysctl: { 'net.core.somaxconn': '500' }, mac: '02:11:22:33:44:55' },
      ]);
      assert.deepEqual(await network.ready(), { ok: true, reason: '' });
      const [a, net] = await attach();
      assert.deepEqual(net, {
        ips: ['10.60.0.2'],
        interfaceName: 'eth0',
        mac: '02:11:22:33:44:55',
        gateway: '10.60.0.1',
      });
      assert.match(await inPod(a, 'ip', 'link', 'show', 'eth0'), /02:11:22:33:44:55/);
      assert.match(await inPod(a, 'ip', 'link', 'show', 'lo'), /LOOPBACK,UP/);
      await configure([bridge('10.60.0.0/24'), portmap]);
      const [b] = await attach();
      await assertPings(b, net.ips[0] ?? '', '10.60.0.1', '127.0.0.1');
      assert.equal(await network.check(a.id), true);
      await stop(a);
      assert.deepEqual(await addresses(), ['net/10.60.0.3']);
      await stop(b);
    });

    test('a port of the host is reached over loopback, the host and from another network', async () => {
      await configure([bridge('10.61.0.0/24', 'fd00:61::/64'), portmap]);
      const [server, { ips }] = await attach({
        hostPorts: [hostPort(8080, 80), hostPort(8081, 80, '127.0.0.1')],
      });
      assert.deepEqual(ips, ['10.61.0.2', 'fd00:61::2']);
      assert.ok(podRules('iptables').length > 0);
      await configure([{ type: 'ptp', ipMasq: false, ipam: ipam('10.62.0.0/24') }], 'other');
      const [client] = await attach();
      const listening = answer(server, 80);
      try {
        assert.equal(await ask(undefined, '10.61.0.2', 80), 'pod');
        assert.equal(await ask(undefined, '127.0.0.1', 8080), 'pod');
        assert.equal(await ask(undefined, '127.0.0.1', 8081), 'pod');
        assert.equal(await ask(undefined, '10.61.0.1', 8080), 'pod');
        assert.equal(await ask(client, '10.61.0.1', 8080), 'pod');
        assert.equal(await ask(server, '10.61.0.1', 8080), 'pod', 'by its own port');
        await assert.rejects(run('busybox', ['nc', '-w', '1', '10.61.0.1', '8081']));
        await stop(server);
        await assert.rejects(run('busybox', ['nc', '-w', '1', '127.0.0.1', '8080']));
        // The host's own servers have their port back.
        const own = createServer((socket) => socket.end('host'));
        await new Promise<void>((resolve) => own.listen(8080, '127.0.0.1', resolve));
        assert.equal(await ask(undefined, '127.0.0.1', 8080), 'host');
        own.close();
      } finally {
        listening.stop();
      }
      await stop(client);
    });

    test('ptp routes between pods and the host', async () => {
      await configure([{ type: 'ptp', ipMasq: true, ipam: ipam('10.63.0.0/24') }, portmap]);
      const [a, { ips }] = await attach();
      const [b] = await attach();
      await assertPings(b, ips[0] ?? '', '10.63.0.1');
      await stop(a, b);
    });

    const families: [string, string[], string[]][] = [
      ['IPv6 alone', ['fd00:64::/64'], ['fd00:64::2']],
      ['IPv4 first', ['10.64.0.0/24', 'fd00:64::/64'], ['10.64.0.2', 'fd00:64::2']],
      ['IPv6 first', ['fd00:64::/64', '10.64.0.0/24'], ['fd00:64::2', '10.64.0.2']],
    ];
    for (const [what, subnets, expected] of families) {
      test(`${what}: the addresses stand in the order of the ranges`, async () => {
        await configure([bridge(...subnets)]);
        const [a, net] = await attach();
        assert.deepEqual(net.ips, expected);
        assert.equal(net.gateway, expected[0]?.replace(/2$/, '1'));
        const [b] = await attach();
        await assertPings(b, ...expected);
        await stop(a, b);
      });
    }

    test('static gives the address that it is told', async () => {
      const addresses = [{ address: '10.65.0.9/24', gateway: '10.65.0.1' }];
      await configure([{ ...bridge(), ipam: { type: 'static', addresses } }]);
      const [pod, { ips }] = await attach();
      assert.deepEqual(ips, ['10.65.0.9']);
      await assertPings(pod, '10.65.0.1');
      await stop(pod);
    });

    for (const version of ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0']) {
      test(`version ${version} of the specification works, too`, async () => {
        await configure([bridge('10.66.0.0/24')], 'old', version);
        const [pod, { ips, gateway }] = await attach();
        assert.deepEqual([ips, gateway], [['10.66.0.2'], '10.66.0.1']);
        await assertPings(pod, '10.66.0.1');
        await stop(pod);
      });
    }

    test('bandwidth limits what a pod sends and gets', { skip: bandwidthMissing() }, async () => {
      const bandwidth = { type: 'bandwidth', capabilities: { bandwidth: true } };
      await configure([bridge('10.67.0.0/24'), bandwidth]);
      const [pod] = await attach({ bandwidth: { ingress: 8_000_000, egress: 4_000_000 } });
      const qdiscs = execFileSync('tc', ['qdisc', 'show'], { encoding: 'utf8' });
      assert.match(qdiscs, /tbf .*rate 8Mbit/);
      assert.match(qdiscs, /tbf .*rate 4Mbit/);
      await stop(pod);
      const left = execFileSync('ip', ['-o', 'link', 'show', 'type', 'ifb'], { encoding: 'utf8' });
      assert.equal(left, '');
    });

    /** A plugin that hangs at a command while a file is there. */
    async function installHanging(command: string): Promise<string> {
      const file = join(base, 'hang');
      const path = join(base, 'bin', 'hanging');
      const script = `#!/bin/sh
input=$(cat)
[ "$CNI_COMMAND" = VERSION ] && exec ${PLUGINS}/loopback
[ "$CNI_COMMAND" = ${command} ] && [ -f ${file} ] && sleep 600
[ "$CNI_COMMAND" = DEL ] && exit 0
printf '%s' "$input" | exec ${PLUGINS}/portmap
`;
      await writeFile(path, script);
      await chmod(path, 0o755);
      await writeFile(file, '');
      return file;
    }

    test('an ADD that hangs is ended in time and leaks nothing', async () => {
      await installHanging('ADD');
      await configure([bridge('10.68.0.0/24'), portmap, { type: 'hanging' }]);
      await network.close();
      network = await open(1000);
      const pod = await makePod();
      const { connection } = pod;
      const request = attachRequest(pod.id, { monitor: connection });
      const begun = performance.now();
      await assert.rejects(network.attach({ ...request, hostPorts: [hostPort(8080, 80)] }), {
        kind: 'DeadlineExceeded',
      });
      assert.ok(performance.now() - begun < 5000);
      await assertNothingLeft();
      await stop(pod);
    });

    test('a DEL that hangs is tried again until it ends, and nothing leaks', async () => {
      const hang = await installHanging('DEL');
      await configure([bridge('10.69.0.0/24'), { type: 'hanging' }]);
      await network.close();
      network = await open(1000);
      const [pod] = await attach();
      await assert.rejects(stop(pod), { kind: 'DeadlineExceeded' });
      assert.deepEqual(await addresses(), [], 'the others had their turn');
      assert.equal(pinned(netnsDir()).length, 1);
      await rm(hang);
      await network.detach(pod.id);
      await assertNothingLeft();
    });

    test('a failed ADD gives back the address that its first plugin took', async () => {
      await configure([bridge('10.70.0.0/24'), { type: 'tuning', sysctl: { 'net.no.such': '1' } }]);
      await assert.rejects(attach(), /plugin tuning: ADD: /);
      await assertNothingLeft();
    });

    test('after a restart the dead are detached, and the living are as they were', async () => {
      await configure([bridge('10.71.0.0/24'), portmap]);
      const [dead] = await attach({ hostPorts: [hostPort(8080, 80)] });
      const [living, { ips }] = await attach();
      await network.close();
      await dead.connection.shutdown();
      dead.connection.close();
      pods = [living];
      table = new MemoryCniTable(table.committed);
      network = await open();
      await network.recover([{ sandboxId: living.id, ips, hostPorts: [] }]);
      assert.deepEqual(await addresses(), ['net/10.71.0.3']);
      assert.deepEqual([...table.committed.keys()], [living.id]);
      assert.equal(pinned(netnsDir()).length, 1);
      await assertPings(living, '10.71.0.1');
      assert.equal(await network.check(living.id), true);
      await stop(living);
    });

    test('after a reboot every address is given back', async () => {
      await configure([bridge('10.71.0.0/24'), portmap]);
      const [pod] = await attach({ hostPorts: [hostPort(8080, 80)] });
      await network.close();
      await pod.connection.shutdown();
      pod.connection.close();
      pods = [];
      // Rules and mounts are gone. Where the directory is no tmpfs, the mount point is not.
      execFileSync('umount', [join(netnsDir(), `coracle-${pod.id}`)]);
      execFileSync('iptables', ['-t', 'nat', '-F']);
      execFileSync('iptables', ['-t', 'nat', '-X']);
      table = new MemoryCniTable(table.committed);
      network = await open();
      await network.recover([]);
      await assertNothingLeft();
    });

    test('a hundred pods come and go and leave nothing', async (t) => {
      await configure([bridge('10.72.0.0/24'), portmap]);
      const files = (await readdir('/proc/self/fd')).length;
      const begun = performance.now();
      for (let round = 0; round < 10; round++) {
        const made = await Promise.all(
          Array.from({ length: 10 }, (_, i) =>
            attach({ hostPorts: [hostPort(9000 + round * 10 + i, 80)] }),
          ),
        );
        const ips = made.flatMap(([, net]) => net.ips);
        assert.equal(new Set(ips).size, 10);
        await Promise.all(made.map(([pod]) => stop(pod)));
      }
      t.diagnostic(`ADD and DEL of 100 pods: ${Math.round(performance.now() - begun)} ms`);
      await assertNothingLeft();
      assert.ok((await readdir('/proc/self/fd')).length <= files, 'descriptors');
    });

    test('an attachment takes hardly longer than its plugins', async (t) => {
      await configure([bridge('10.73.0.0/24'), portmap]);
      await network.close();
      let inPlugins = 0;
      const spawnTimed: typeof addon.spawn = async (options) => {
        const begun = performance.now();
        const result = await addon.spawn(options);
        inPlugins += performance.now() - begun;
        return result;
      };
      const timed = { spawn: spawnTimed, runFileOps: addon.runFileOps };
      network = await open(20_000, timed);
      const added: number[] = [];
      for (let i = 0; i < 11; i++) {
        const pod = await makePod();
        const { connection } = pod;
        inPlugins = 0;
        const begun = performance.now();
        await network.attach(attachRequest(pod.id, { monitor: connection }));
        added.push(performance.now() - begun - inPlugins);
        await stop(pod);
      }
      const median = added.sort((a, b) => a - b)[5] ?? Number.NaN;
      t.diagnostic(`beside its plugins, an ADD takes ${median.toFixed(1)} ms (median of 11)`);
      assert.ok(median < 25, `${median} ms`);
    });
  });
}
