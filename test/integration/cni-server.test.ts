/**
 * A whole server whose pods are connected by CNI: Debian's bridge and host-local, after a plugin
 * that fails or hangs when it is told to. The file runs itself a second time inside network and
 * mount namespaces of its own.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { PodSandboxState } from '../../src/cri/gen/cri.ts';
import { FakePlugins } from '../helpers/cni.ts';
import { TestServer } from '../helpers/server.ts';

const INSIDE = 'CORACLE_TEST_OWN_NETNS';
const PLUGINS = '/usr/lib/cni';
/** How long a plugin may take here, ms. */
const DEADLINE = 1500;

/** Every namespace that is pinned, link of a pod, and address that is handed out. */
function traces(dataDir: string): { pins: string[]; veths: string[]; addresses: string[] } {
  const links = execFileSync('ip', ['-o', 'link', 'show', 'type', 'veth'], { encoding: 'utf8' });
  const files = existsSync(dataDir) ? readdirSync(dataDir, { recursive: true }) : [];
  return {
    pins: existsSync('/run/netns') ? readdirSync('/run/netns') : [],
    veths: links.split('\n').filter(Boolean),
    addresses: files.map(String).filter((file) => /\/[\da-f.:]+$/.test(file)),
  };
}

const NOTHING = { pins: [], veths: [], addresses: [] };

async function until(what: string, condition: () => Promise<boolean> | boolean): Promise<void> {
  const end = Date.now() + 10_000;
  while (!(await condition())) {
    assert.ok(Date.now() < end, what);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

if (process.env[INSIDE] === undefined) {
  const skip = existsSync(join(PLUGINS, 'bridge')) ? false : 'containernetworking-plugins needed';
  test('a server with CNI, in namespaces of its own', { skip }, () => {
    const script = 'mount --make-rprivate / && mount -t tmpfs none /run && exec "$@"';
    const self = [process.execPath, ...process.execArgv, fileURLToPath(import.meta.url)];
    const argv = ['--net', '--mount', 'sh', '-c', script, 'sh', ...self];
    const env = { ...process.env, [INSIDE]: '1', NODE_TEST_CONTEXT: undefined };
    const result = spawnSync('unshare', argv, { env, encoding: 'utf8', timeout: 240_000 });
    assert.equal(result.status, 0, `${result.stdout}\n${result.stderr}`);
    process.stdout.write(result.stdout);
  });
} else {
  describe('a server with CNI', () => {
    let server: TestServer;
    let fake: FakePlugins;
    let dataDir = '';
    let names = 0;

    function config(more: object = {}) {
      names += 1;
      const name = `pod-${names}`;
      return {
        config: {
          metadata: { name, namespace: 'test', uid: name, attempt: 0 },
          linux: { securityContext: { namespaceOptions: {} } },
          ...more,
        },
      };
    }
    async function runPod(more: object = {}): Promise<string> {
      return (await server.client.runPodSandbox(config(more))).podSandboxId;
    }
    async function statusOf(podSandboxId: string) {
      const { status } = await server.client.podSandboxStatus({ podSandboxId });
      assert.ok(status);
      return status;
    }
    async function networkReady() {
      const { status } = await server.client.status({});
      const found = status?.conditions.find(({ type }) => type === 'NetworkReady');
      assert.ok(found);
      return found;
    }
    async function remove(podSandboxId: string): Promise<void> {
      await server.client.stopPodSandbox({ podSandboxId });
      await server.client.removePodSandbox({ podSandboxId });
    }
    async function assertNothing(): Promise<void> {
      // The kernel takes a pod's link away in its own time.
      const left = () => JSON.stringify(traces(dataDir));
      await until('nothing is left', () => left() === JSON.stringify(NOTHING)).catch(() => {});
      assert.deepEqual(traces(dataDir), NOTHING);
    }

    before(async () => {
      execFileSync('ip', ['link', 'set', 'lo', 'up']);
      fake = await FakePlugins.make('flaky');
      dataDir = join(fake.base, 'data');
      const file = join(fake.base, 'config.toml');
      await writeFile(file, `cni-timeout-ms = ${DEADLINE}\n`);
      const bins = `${fake.binDir}:${PLUGINS}`;
      const flags = ['--config', file, '--cni-conf-dir', fake.confDir, '--cni-bin-dir', bins];
      server = await TestServer.start(flags);
    });
    after(async () => {
      for (const command of ['ADD', 'DEL']) await fake.on('flaky', command);
      try {
        await server.close();
      } finally {
        await server.end('SIGKILL');
        await fake.remove();
      }
    });

    test('is not ready before there is a configuration, and then without a restart', async () => {
      const before = await networkReady();
      assert.deepEqual([before.status, before.reason], [false, 'NetworkNotReady']);
      assert.match(before.message, /^cni plugin not initialized: no CNI configuration in /);
      const { info } = await server.client.status({ verbose: true });
      assert.match(info.lastCNILoadStatus ?? '', /no CNI configuration/);
      await assert.rejects(runPod(), /no CNI configuration/);

      const ranges = [[{ subnet: '10.77.0.0/16' }], [{ subnet: 'fd00:77::/64' }]];
      const ipam = { type: 'host-local', dataDir, ranges };
      const bridge = { type: 'bridge', bridge: 'cni0', isGateway: true, ipam };
      await fake.configure(['flaky', { ...bridge, capabilities: { portMappings: true } }]);
      await until('NetworkReady', async () => (await networkReady()).status);
      const ready = await server.client.status({ verbose: true });
      assert.equal(ready.info.lastCNILoadStatus, 'OK');
      const cniconfig = JSON.parse(ready.info.cniconfig ?? '');
      assert.equal(cniconfig.PluginConfDir, fake.confDir);
      assert.equal(cniconfig.Networks[0].Config.Name, 'net');
      await assertNothing();
    });

    test('gives pods what the plugins gave, and plugins what they ask for', async () => {
      const id = await runPod({
        portMappings: [{ containerPort: 80, hostPort: 8080, hostIp: '127.0.0.1' }],
      });
      const { network, state } = await statusOf(id);
      assert.equal(state, PodSandboxState.SANDBOX_READY);
      assert.match(network?.ip ?? '', /^10\.77\.0\.\d+$/);
      assert.match(network?.additionalIps[0]?.ip ?? '', /^fd00:77::[\da-f]+$/);
      const call = (await fake.calls('ADD')).at(-1);
      assert.equal(call?.id, id);
      assert.match(call?.args ?? '', /K8S_POD_NAME=pod-\d+/);
      const { info } = await server.client.podSandboxStatus({ podSandboxId: id, verbose: true });
      assert.equal(JSON.parse(info.info ?? '').network.ips[0], network?.ip);
      assert.equal(traces(dataDir).addresses.length, 2);
      await remove(id);
      await assertNothing();
    });

    test('refuses limits that are none, before anything is made', async () => {
      const annotations = { 'kubernetes.io/ingress-bandwidth': 'fast' };
      await assert.rejects(runPod({ annotations }), /kubernetes\.io\/ingress-bandwidth.*"fast"/);
      const { items } = await server.client.listPodSandbox({});
      assert.deepEqual(items, []);
    });

    test('keeps namespace and addresses over a restart', async () => {
      const id = await runPod();
      const { network } = await statusOf(id);
      const before = traces(dataDir);
      await server.end('SIGTERM');
      await server.launch();
      assert.deepEqual((await statusOf(id)).network, network);
      assert.deepEqual(traces(dataDir), before);
      const argv = ['ping', '-c', '1', '-W', '3', network?.ip ?? ''];
      assert.match(execFileSync('busybox', argv, { encoding: 'utf8' }), /1 packets received/);
      await remove(id);
      await assertNothing();
    });

    test('after kill -9 takes down the networks of the dead, not of the living', async () => {
      const [dead, living] = [await runPod(), await runPod()];
      const { info } = await server.client.podSandboxStatus({ podSandboxId: dead, verbose: true });
      const { pid } = JSON.parse(info.info ?? '');
      await server.end('SIGKILL');
      process.kill(pid, 'SIGKILL');
      await server.launch();
      assert.equal((await statusOf(dead)).state, PodSandboxState.SANDBOX_NOTREADY);
      await until('DEL of the dead', () => traces(dataDir).pins.length === 1);
      assert.equal((await statusOf(living)).state, PodSandboxState.SANDBOX_READY);
      assert.equal(traces(dataDir).addresses.length, 2);
      await remove(dead);
      await remove(living);
      await assertNothing();
    });

    test('an ADD that fails makes no pod and leaves nothing', async () => {
      await fake.on('flaky', 'ADD', 'echo \'{"code":11,"msg":"try later"}\'; exit 1');
      await assert.rejects(runPod(), /flaky.*try later/);
      await fake.on('flaky', 'ADD');
      assert.deepEqual((await server.client.listPodSandbox({})).items, []);
      await assertNothing();
    });

    test('a DEL that fails leaves a pod that can be stopped and removed again', async () => {
      const id = await runPod();
      await fake.on('flaky', 'DEL', 'echo \'{"code":99,"msg":"not now"}\'; exit 1');
      await assert.rejects(server.client.stopPodSandbox({ podSandboxId: id }), /not now/);
      const { state, network } = await statusOf(id);
      assert.deepEqual([state, network?.ip], [PodSandboxState.SANDBOX_NOTREADY, '']);
      await assert.rejects(server.client.stopPodSandbox({ podSandboxId: id }), /not now/);
      await assert.rejects(server.client.removePodSandbox({ podSandboxId: id }), /not now/);
      await fake.on('flaky', 'DEL');
      await server.client.stopPodSandbox({ podSandboxId: id });
      await server.client.stopPodSandbox({ podSandboxId: id });
      await server.client.removePodSandbox({ podSandboxId: id });
      await assertNothing();
    });

    test('a plugin that hangs is ended at its deadline', async () => {
      await fake.on('flaky', 'ADD', 'exec sleep 1000');
      const begun = performance.now();
      await assert.rejects(runPod(), /flaky/);
      const took = performance.now() - begun;
      assert.ok(took >= DEADLINE && took < DEADLINE + 3000, `${took} ms`);
      await fake.on('flaky', 'ADD');
      await assertNothing();
    });

    test('a pod that is stopped while a plugin works is not made', async () => {
      await fake.on('flaky', 'ADD', 'sleep 1');
      const running = runPod();
      const refused = assert.rejects(running, /was stopped while it was made/);
      let id = '';
      const before = (await fake.calls('ADD')).length;
      await until('ADD', async () => (await fake.calls('ADD')).length > before);
      const { items } = await server.client.listPodSandbox({});
      id = items[0]?.id ?? '';
      await server.client.stopPodSandbox({ podSandboxId: id });
      await refused;
      await fake.on('flaky', 'ADD');
      assert.deepEqual((await server.client.listPodSandbox({})).items, []);
      await assertNothing();
    });

    test('a pod is detached by CNI after the setting has gone', async () => {
      const id = await runPod();
      const { flags } = server;
      await server.end('SIGTERM');
      server.flags = flags.filter((flag) => flag !== '--cni-conf-dir' && flag !== fake.confDir);
      await server.launch();
      assert.equal((await networkReady()).status, true);
      const embedded = await runPod();
      assert.doesNotMatch((await statusOf(embedded)).network?.ip ?? '', /^10\.77\./);
      await remove(id);
      assert.deepEqual(traces(dataDir).addresses, []);
      await server.end('SIGTERM');
      server.flags = flags;
      await server.launch();
      await remove(embedded);
      await assertNothing();
    });

    for (const kind of ['CNI', 'embedded'] as const) {
      test(`100 pods at once (${kind}) leave nothing`, { timeout: 120_000 }, async (t) => {
        const { flags } = server;
        if (kind === 'embedded') {
          await server.end('SIGTERM');
          server.flags = ['--config', flags[1] ?? ''];
          await server.launch();
        }
        const begun = performance.now();
        const ids = await Promise.all(
          Array.from({ length: 100 }, (_, i) =>
            runPod({
              portMappings:
                kind === 'embedded' ? [{ containerPort: 80, hostPort: 10_000 + i }] : [],
            }),
          ),
        );
        const made = performance.now();
        const statuses = await Promise.all(ids.map(statusOf));
        assert.equal(new Set(statuses.map(({ network }) => network?.ip)).size, 100);
        const stopping = performance.now();
        await Promise.all(ids.map(remove));
        const [up, down] = [made - begun, performance.now() - stopping];
        t.diagnostic(`100 pods: run ${up.toFixed(0)} ms, removed ${down.toFixed(0)} ms`);
        await assertNothing();
        const rules = execFileSync('nft', ['list', 'ruleset'], { encoding: 'utf8' });
        assert.ok(!/ : 10\.\d+\.\d+\.\d+ \. 80/.test(rules), rules);
      });
    }
  });
}
