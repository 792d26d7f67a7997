import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import {
  CniFailure,
  type CniNetwork,
  type CniNetworkOptions,
} from '../../src/network/cni/index.ts';
import type { PodMonitorSide } from '../../src/network/index.ts';
import { deferred } from '../../src/runtime/deferred.ts';
import { attachRequest, FakePlugins, idOf, MemoryCniTable } from '../helpers/cni.ts';

const id = idOf(1);
const failing = (code: number, msg: string) =>
  `printf '{"cniVersion":"1.0.0","code":${code},"msg":"${msg}","details":"more"}'; exit 1`;

describe('CNI', () => {
  let fake: FakePlugins;
  let table: MemoryCniTable;
  const opened: CniNetwork[] = [];
  async function open(options: Partial<CniNetworkOptions> = {}): Promise<CniNetwork> {
    const network = await fake.open(table, options);
    opened.push(network);
    return network;
  }
  /** Nothing is left of any attachment. */
  async function assertNothingLeft(): Promise<void> {
    assert.deepEqual(await fake.held(), []);
    assert.deepEqual(await fake.pins(), []);
    assert.deepEqual([...table.committed.keys()], []);
  }
  const order = async () =>
    (await fake.calls()).map(({ command, plugin }) => `${command} ${plugin}`);

  beforeEach(async () => {
    fake = await FakePlugins.make('bridge', 'tuning', 'portmap');
    table = new MemoryCniTable();
  });
  afterEach(async () => {
    for (const network of opened.splice(0)) await network.close();
    await fake.remove();
  });

  describe('attach and detach', () => {
    test('plugins run in order with what the specification gives them', async () => {
      await fake.configure(
        [
          { type: 'bridge', ipam: { type: 'host-local' }, prevResult: {}, 'cni.dev/x': 1 },
          { type: 'tuning', capabilities: { mac: true } },
          { type: 'portmap', capabilities: { portMappings: true, bandwidth: false } },
        ],
        { cniVersion: '1.0.0' },
      );
      const network = await open();
      const pod = await network.attach(
        attachRequest(id, {
          hostPorts: [
            { protocol: 'tcp', containerPort: 80, hostPort: 8080, hostIp: '' },
            { protocol: 'udp', containerPort: 53, hostPort: 53, hostIp: '127.0.0.1' },
          ],
          bandwidth: { ingress: 1e6 },
        }),
      );
      assert.deepEqual(pod, {
        ips: ['10.1.0.5'],
        interfaceName: 'eth0',
        mac: '02:00:00:00:00:01',
        gateway: '10.1.0.1',
      });
      const [bridge, tuning, portmap, ...rest] = await fake.calls();
      assert.deepEqual(rest, []);
      const netns = join(fake.base, 'netns', `coracle-${id}`);
      const result = (by: string) => ({
        cniVersion: '1.0.0',
        interfaces: [{ name: 'veth0' }, { name: 'eth0', mac: '02:00:00:00:00:01', sandbox: netns }],
        ips: [{ address: '10.1.0.5/24', gateway: '10.1.0.1', interface: 1 }],
        by,
      });
      assert.deepEqual(bridge, {
        plugin: 'bridge',
        command: 'ADD',
        id,
        netns,
        ifName: 'eth0',
        args: `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=${id};K8S_POD_UID=u-1`,
        path: fake.binDir,
        config: {
          type: 'bridge',
          ipam: { type: 'host-local' },
          name: 'net',
          cniVersion: '1.0.0',
        },
      });
      assert.deepEqual(tuning?.config.prevResult, result('bridge'));
      assert.equal('runtimeConfig' in (tuning?.config ?? {}), false);
      assert.deepEqual(portmap?.config.prevResult, result('tuning'));
      assert.deepEqual(portmap?.config.runtimeConfig, {
        portMappings: [
          { protocol: 'tcp', containerPort: 80, hostPort: 8080 },
          { protocol: 'udp', containerPort: 53, hostPort: 53, hostIP: '127.0.0.1' },
        ],
      });

      await fake.forgetCalls();
      await network.detach(id);
      const calls = await fake.calls();
      assert.deepEqual(await order(), ['DEL portmap', 'DEL tuning', 'DEL bridge']);
      for (const call of calls) assert.deepEqual(call.config.prevResult, result('portmap'));
      assert.deepEqual(calls[0]?.config.runtimeConfig, portmap?.config.runtimeConfig);
      assert.equal(calls[0]?.args, bridge?.args);
      assert.equal(calls[0]?.netns, '', 'a file that is no namespace is none');
      await assertNothingLeft();
      await network.detach(id);
      assert.equal((await fake.calls()).length, 3);
    });

    test('all that a pod brings reaches the plugin that declares it', async () => {
      const capabilities = {
        bandwidth: true,
        cgroupPath: true,
        'io.kubernetes.cri.pod-annotations': true,
        ipRanges: true,
      };
      await fake.configure([{ type: 'bridge', capabilities }]);
      const network = await open();
      await network.attach(
        attachRequest(id, {
          bandwidth: { ingress: 1000, egress: 2000 },
          annotations: { a: 'b' },
          cgroupParent: '/kubepods/pod1',
        }),
      );
      assert.deepEqual((await fake.calls())[0]?.config.runtimeConfig, {
        bandwidth: {
          ingressRate: 1000,
          ingressBurst: 4294967295,
          egressRate: 2000,
          egressBurst: 4294967295,
        },
        cgroupPath: '/kubepods/pod1',
        'io.kubernetes.cri.pod-annotations': { a: 'b' },
      });
    });

    test('before 0.4.0 plugins get no result at DEL', async () => {
      await fake.configure(['bridge'], { cniVersion: '0.3.1' });
      const network = await open();
      await network.attach(attachRequest(id));
      await network.detach(id);
      assert.equal('prevResult' in ((await fake.calls('DEL'))[0]?.config ?? {}), false);
    });

    test('the record is there before the first plugin runs', async () => {
      await fake.configure(['bridge']);
      const network = await open({
        addon: {
          runFileOps: async () => {},
          spawn: async ({ env }) => {
            const command = env.find((entry) => entry.startsWith('CNI_COMMAND='));
            if (command === 'CNI_COMMAND=ADD') assert.ok(table.committed.has(id));
            throw new Error('the host is out of everything');
          },
        },
      });
      await assert.rejects(network.attach(attachRequest(id)), /out of everything/);
      assert.ok(table.committed.has(id), 'DEL has failed, too');
    });

    test('the record is there, and no plugin runs, while the namespace is being made', async () => {
      await fake.configure(['bridge']);
      const network = await open();
      const made = deferred<PodMonitorSide>();
      const attached = network.attach(attachRequest(id, { monitor: made.promise }));
      while (!table.committed.has(id)) await new Promise(setImmediate);
      assert.deepEqual(await fake.calls('ADD'), []);
      made.resolve(attachRequest(id).monitor as PodMonitorSide);
      assert.deepEqual((await attached).ips, ['10.1.0.5']);
      await network.detach(id);
    });

    test('a namespace that is not made leaves no record, and runs no plugin', async () => {
      await fake.configure(['bridge']);
      const network = await open();
      const made = deferred<PodMonitorSide>();
      const attached = network.attach(attachRequest(id, { monitor: made.promise }));
      while (!table.committed.has(id)) await new Promise(setImmediate);
      made.reject(new Error('no namespace'));
      await assert.rejects(attached, /no namespace/);
      await network.detach(id);
      assert.deepEqual(await order(), []);
      await assertNothingLeft();
    });

    test('a plugin is run from the first directory that has a file of its name', async () => {
      await fake.configure(['bridge']);
      const first = join(fake.base, 'first');
      const missing = join(fake.base, 'missing');
      await mkdir(join(first, 'bridge'), { recursive: true });
      const network = await open({ binDirs: [missing, first, fake.binDir] });
      await network.attach(attachRequest(id));
      await rm(join(first, 'bridge'), { recursive: true });
      await writeFile(join(first, 'bridge'), '');
      await assert.rejects(network.detach(id), /first\/bridge is not executable/);
      await chmod(join(fake.binDir, 'bridge'), 0o644);
      await rm(join(first, 'bridge'));
      await assert.rejects(network.detach(id), /bridge is not executable/);
      await chmod(join(fake.binDir, 'bridge'), 0o755);
      await network.detach(id);
      await assertNothingLeft();
    });

    test('a disk that is full before ADD keeps plugins from running', async () => {
      await fake.configure(['bridge']);
      const network = await open();
      table.putsLeft = 0;
      await assert.rejects(network.attach(attachRequest(id)), /ENOSPC/);
      assert.deepEqual(await fake.calls(), []);
      await assertNothingLeft();
    });

    test('a disk that is full after ADD takes everything back', async () => {
      await fake.configure(['bridge', 'portmap']);
      const network = await open();
      table.putsLeft = 1;
      await assert.rejects(network.attach(attachRequest(id)), /ENOSPC/);
      assert.deepEqual((await order()).slice(2), ['DEL portmap', 'DEL bridge']);
      await assertNothingLeft();
    });

    test('a pod can be removed while records cannot', async () => {
      await fake.configure(['bridge']);
      const network = await open();
      await network.attach(attachRequest(id));
      table.removeFails = true;
      await network.detach(id);
      assert.deepEqual(await fake.held(), []);
      table.removeFails = false;
      await network.attach(attachRequest(idOf(2)));
      await network.detach(idOf(2));
      await assertNothingLeft();
    });

    test('the caller that goes away gets everything taken back', async () => {
      await fake.configure(['bridge', 'portmap']);
      await fake.on('bridge', 'ADD', 'sleep 0.3');
      const network = await open();
      const signal = AbortSignal.timeout(100);
      await assert.rejects(network.attach(attachRequest(id, { signal })), {
        kind: 'DeadlineExceeded',
      });
      assert.deepEqual(await order(), ['ADD bridge', 'DEL portmap', 'DEL bridge']);
      await assertNothingLeft();
      await assert.rejects(network.attach(attachRequest(id, { signal })), {
        kind: 'DeadlineExceeded',
      });
      assert.equal((await fake.calls()).length, 3, 'nothing was begun for who is gone already');
    });

    test('DEL follows the configuration of ADD, also where it has changed or gone', async () => {
      await fake.configure(['bridge', { type: 'portmap', x: 1 }]);
      const network = await open();
      await network.attach(attachRequest(id));
      await rm(join(fake.confDir, '10-net.conflist'));
      await network.detach(id);
      assert.deepEqual((await order()).slice(2), ['DEL portmap', 'DEL bridge']);
      assert.equal((await fake.calls('DEL'))[0]?.config.x, 1);
    });

    test('calls for one sandbox run one after another, for many side by side', async () => {
      await fake.configure(['bridge']);
      await fake.on('bridge', 'ADD', 'echo + >> "$base/load"; sleep 0.2; echo - >> "$base/load"');
      const network = await open();
      const first = network.attach(attachRequest(id));
      const gone = network.detach(id);
      await Promise.all([first, gone]);
      assert.deepEqual(await order(), ['ADD bridge', 'DEL bridge']);

      const ids = Array.from({ length: 40 }, (_, i) => idOf(i + 10));
      await Promise.all(ids.map((each) => network.attach(attachRequest(each))));
      const load = (await fake.read('load')).trim().split('\n').slice(2);
      let most = 0;
      let now = 0;
      for (const sign of load) {
        now += sign === '+' ? 1 : -1;
        most = Math.max(most, now);
      }
      assert.ok(most > 1 && most <= 16, `${most} at once`);
      await Promise.all(ids.map((each) => network.detach(each)));
      await assertNothingLeft();
    });

    test('a sandbox is attached once', async () => {
      await fake.configure(['bridge']);
      const network = await open();
      await network.attach(attachRequest(id));
      await assert.rejects(network.attach(attachRequest(id)), { kind: 'AlreadyExists' });
      await network.detach(id);
    });

    test('a name that would be another argument is refused before anything is done', async () => {
      await fake.configure(['bridge']);
      const network = await open();
      const pod = { name: 'a;IP=10.0.0.1', namespace: 'n', uid: 'u' };
      await assert.rejects(network.attach(attachRequest(id, { pod })), {
        kind: 'InvalidArgument',
      });
      await assertNothingLeft();
    });
  });

  describe('plugins that fail', () => {
    const cases: [string, string, string, RegExp][] = [
      [
        'an error result',
        failing(7, 'bad subnet'),
        'FailedPrecondition',
        /^CNI network net: plugin portmap: ADD: bad subnet; more \(code 7\)$/,
      ],
      ['try again later', failing(11, 'soon'), 'Unavailable', /: soon; more \(code 11\)$/],
      [
        'text on standard error',
        'echo out of ports >&2; exit 3',
        'Internal',
        /failed with exit code 3; stderr: "out of ports"$/,
      ],
      [
        'an error result and a log',
        `echo log >&2; ${failing(100, 'no')}`,
        'Internal',
        /no; more \(code 100\); stderr: "log"$/,
      ],
      [
        'a lot on standard error',
        'yes | head -c 100000 >&2; exit 1',
        'Internal',
        /stderr: "…(\\ny|y\\n)+y?"$/,
      ],
      [
        'a garbled error',
        'echo "{not json"; exit 1',
        'Internal',
        /exit code 1; it printed "\{not json"$/,
      ],
      ['a signal', 'kill -KILL $$', 'Internal', /failed with exit code 137$/],
      ['garbage', 'echo hello; exit 0', 'Internal', /: ADD: printed no JSON but "hello\\n"$/],
      ['nothing', 'exit 0', 'Internal', /: ADD: printed no result$/],
      [
        'ten megabytes',
        'head -c 10485760 /dev/zero | tr "\\0" x; exit 0',
        'Internal',
        /: ADD: printed more than 1048576 bytes$/,
      ],
      ['no address', 'echo "{}"; exit 0', 'Internal', /^CNI network net gave eth0 no IP address$/],
    ];
    for (const [what, script, kind, message] of cases) {
      test(`at ADD with ${what}: everything is taken back`, async () => {
        await fake.configure(['bridge', 'portmap']);
        await fake.on('portmap', 'ADD', script);
        const network = await open();
        await assert.rejects(network.attach(attachRequest(id)), { kind, message });
        assert.deepEqual(await order(), ['ADD bridge', 'ADD portmap', 'DEL portmap', 'DEL bridge']);
        await assertNothingLeft();
        assert.match(String(network.describe().LastProblem), message);
      });
    }

    test('by hanging are killed with all that they have started', async () => {
      await fake.configure(['bridge']);
      await fake.on('bridge', 'ADD', 'sleep 61 & echo $! > "$base/child"; wait');
      const network = await open({ timeoutMs: 300 });
      await assert.rejects(network.attach(attachRequest(id)), {
        kind: 'DeadlineExceeded',
        message: 'CNI network net: plugin bridge: ADD: did not end within 0.3 s and was killed',
      });
      await assertNothingLeft();
      const child = Number(await fake.read('child'));
      for (let i = 0; alive(child); i++) {
        assert.ok(i < 50, 'the child is gone');
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    });

    test('say which plugin, command and network, for programs', async () => {
      await fake.configure(['bridge']);
      await fake.on('bridge', 'ADD', failing(50, 'no daemon'));
      const network = await open();
      await assert.rejects(network.attach(attachRequest(id)), (error) => {
        assert.ok(error instanceof CniFailure);
        const { plugin, command, network: name, code } = error;
        assert.deepEqual(
          { plugin, command, name, code },
          {
            plugin: 'bridge',
            command: 'ADD',
            name: 'net',
            code: 50,
          },
        );
        return true;
      });
    });

    test('at DEL let the others have their turn, and are asked until they succeed', async () => {
      await fake.configure(['bridge', 'tuning', 'portmap']);
      const network = await open();
      await network.attach(attachRequest(id));
      for (const plugin of ['portmap', 'tuning']) {
        await fake.on(plugin, 'DEL', failing(100, `${plugin} is stuck`));
      }
      await assert.rejects(network.detach(id), /portmap is stuck/);
      assert.deepEqual(await fake.held(), [`portmap-${id}`, `tuning-${id}`]);
      assert.equal((await fake.pins()).length, 1, 'DEL will need it');
      await fake.on('portmap', 'DEL');
      await assert.rejects(network.detach(id), /tuning is stuck/);
      await fake.on('tuning', 'DEL');
      await network.detach(id);
      await assertNothingLeft();
    });

    test('at DEL because they do not know the pod have nothing to do', async () => {
      await fake.configure(['bridge']);
      const network = await open();
      await network.attach(attachRequest(id));
      await fake.on('bridge', 'DEL', `rm -f "$held"; ${failing(3, 'unknown container')}`);
      await network.detach(id);
      await assertNothingLeft();
    });

    test('at DEL because the namespace is gone have nothing to do', async () => {
      await fake.configure(['bridge']);
      const network = await open();
      await network.attach(attachRequest(id));
      const gone = 'failed to open netns: no such file or directory';
      await fake.on('bridge', 'DEL', `rm -f "$held"; ${failing(999, gone)}`);
      await network.detach(id);
      await assertNothingLeft();
    });

    test('at ADD and then at DEL are asked again by detach', async () => {
      await fake.configure(['bridge', 'portmap']);
      await fake.on('portmap', 'ADD', failing(100, 'no ADD'));
      await fake.on('bridge', 'DEL', failing(100, 'no DEL'));
      const network = await open();
      await assert.rejects(network.attach(attachRequest(id)), /no ADD/);
      await assert.rejects(network.detach(id), /no DEL/);
      await fake.on('bridge', 'DEL');
      await network.detach(id);
      await assertNothingLeft();
    });

    test('a plugin that is not there is named with the directories', async () => {
      await fake.configure(['bridge', 'weave']);
      const network = await open();
      const message = `CNI network net: plugin weave: VERSION: there is no such plugin in ${fake.binDir}`;
      await assert.rejects(network.attach(attachRequest(id)), {
        kind: 'FailedPrecondition',
        message,
      });
      assert.deepEqual(await network.ready(), { ok: false, reason: message });
      assert.deepEqual(await fake.calls(), []);
      await assertNothingLeft();
    });

    test('a plugin that has vanished before DEL keeps its pod from being forgotten', async () => {
      await fake.configure(['bridge']);
      const network = await open();
      await network.attach(attachRequest(id));
      await rm(join(fake.binDir, 'bridge'));
      await assert.rejects(network.detach(id), {
        kind: 'FailedPrecondition',
        message: /there is no such plugin/,
      });
      await fake.install('bridge');
      await network.detach(id);
      await assertNothingLeft();
    });
  });

  describe('versions', () => {
    const speaks = (...versions: string[]) =>
      `printf '{"cniVersion":"1.1.0","supportedVersions":${JSON.stringify(versions)}}'; exit 0`;
    const chosen = async (network: CniNetwork) => {
      await network.attach(attachRequest(id));
      const version = (await fake.calls('ADD')).at(-1)?.config.cniVersion;
      await network.detach(id);
      return version;
    };

    test('the highest one that all plugins speak is used, as long as they are the same', async () => {
      await fake.configure(['bridge', 'portmap'], {
        cniVersion: '1.1.0',
        cniVersions: ['0.3.1', '0.4.0', '1.0.0'],
      });
      const network = await open();
      assert.equal(await chosen(network), '1.1.0');
      await chosen(network);
      assert.equal((await fake.calls('VERSION')).length, 2, 'each plugin is asked once');
      await fake.on('portmap', 'VERSION', speaks('0.3.0', '0.3.1', '0.4.0'));
      assert.equal(await chosen(network), '1.1.0');
      await fake.install('portmap');
      await rm(join(fake.binDir, 'portmap'));
      await fake.install('portmap');
      assert.equal(await chosen(network), '0.4.0');
    });

    test('a plugin that speaks none of them is named', async () => {
      await fake.configure(['bridge'], { cniVersion: '1.1.0' });
      await fake.on('bridge', 'VERSION', speaks('0.4.0', '1.0.0'));
      const network = await open();
      const reason = 'CNI network net: plugin bridge speaks CNI 0.4.0, 1.0.0, not 1.1.0';
      assert.deepEqual(await network.ready(), { ok: false, reason });
      await assert.rejects(network.attach(attachRequest(id)), { message: reason });
    });

    test('a plugin that does not say is taken at the word of the configuration', async () => {
      await fake.configure(['bridge'], { cniVersion: '1.0.0' });
      await fake.on('bridge', 'VERSION', 'echo what; exit 1');
      assert.equal(await chosen(await open()), '1.0.0');
    });

    test('the first plugins had no VERSION, and the second ones no list', async () => {
      await fake.configure(['bridge'], { cniVersion: '0.1.0', cniVersions: ['0.2.0', '0.4.0'] });
      await fake.on('bridge', 'VERSION', 'echo \'{"cniVersion":"0.2.0"}\'; exit 0');
      const result = `echo '{"ip4":{"ip":"10.9.0.2/24","gateway":"10.9.0.1"}}'; exit 0`;
      await fake.on('bridge', 'ADD', result);
      assert.equal(await chosen(await open()), '0.2.0');
      await fake.install('bridge');
      await fake.on('bridge', 'VERSION', failing(4, 'unknown CNI_COMMAND: VERSION'));
      const network = await open();
      const pod = await network.attach(attachRequest(id));
      assert.deepEqual(pod.ips, ['10.9.0.2']);
      assert.equal((await fake.calls('ADD')).at(-1)?.config.cniVersion, '0.1.0');
    });
  });

  describe('readiness', () => {
    test('without a configuration says so, as attach does, until there is one', async () => {
      await writeFile(join(fake.confDir, '05-bad.conf'), '{');
      const network = await open();
      const { ok, reason } = await network.ready();
      assert.equal(ok, false);
      assert.ok(
        reason.startsWith(
          `cni plugin not initialized: no CNI configuration in ${fake.confDir}; ${fake.confDir}/05-bad.conf: not JSON`,
        ),
        reason,
      );
      await assert.rejects(network.attach(attachRequest(id)), {
        kind: 'FailedPrecondition',
        message: reason,
      });
      await fake.configure(['bridge']);
      await network.attach(attachRequest(id));
      const ready = await network.ready();
      assert.equal(ready.ok, true);
      assert.match(ready.reason, /^passed over: .*05-bad\.conf: not JSON/);
      assert.deepEqual(network.describe().Networks, [
        {
          Config: {
            Name: 'net',
            CNIVersion: '1.0.0',
            Plugins: [{ Network: { type: 'bridge' }, Source: '{"type":"bridge"}' }],
            Source: '{"name":"net","cniVersion":"1.0.0","plugins":[{"type":"bridge"}]}',
          },
          IFName: 'eth0',
        },
      ]);
    });

    test('asks the plugins from 1.1.0 on, and not again at once', async () => {
      await fake.configure(['bridge', 'portmap'], { cniVersion: '1.1.0' });
      await fake.on('portmap', 'STATUS', failing(50, 'no daemon'));
      const network = await open();
      const expected = {
        ok: false,
        reason: 'CNI network net: plugin portmap: STATUS: no daemon; more (code 50)',
      };
      assert.deepEqual(await network.ready(), expected);
      assert.deepEqual(await network.ready(), expected);
      assert.deepEqual(await order(), ['STATUS bridge', 'STATUS portmap']);
      const { id: container, ifName, config } = (await fake.calls())[0] ?? {};
      assert.deepEqual(
        { container, ifName, config },
        {
          container: '',
          ifName: '',
          config: { type: 'bridge', name: 'net', cniVersion: '1.1.0' },
        },
      );

      await fake.forgetCalls();
      await fake.configure(['bridge'], { cniVersion: '1.0.0' });
      assert.deepEqual(await (await open()).ready(), { ok: true, reason: '' });
      assert.deepEqual(await order(), []);
    });
  });

  describe('a restart', () => {
    const live = (...ids: string[]) =>
      ids.map((sandboxId) => ({ sandboxId, ips: [], hostPorts: [] }));

    test('detaches the dead from what they were in, and leaves the living', async () => {
      await fake.configure(['bridge', 'portmap']);
      const before = await open();
      for (const n of [1, 2, 3]) await before.attach(attachRequest(idOf(n)));
      await before.close();
      await fake.configure(['tuning']);
      await fake.forgetCalls();
      table = new MemoryCniTable(table.committed);
      const network = await open();
      await network.recover(live(idOf(2)));
      assert.deepEqual(await fake.held(), [`bridge-${idOf(2)}`, `portmap-${idOf(2)}`]);
      assert.deepEqual(await fake.pins(), [`coracle-${idOf(2)}`]);
      assert.deepEqual([...table.committed.keys()], [idOf(2)]);
      assert.equal((await order()).filter((call) => call.startsWith('DEL')).length, 4);
      await network.detach(idOf(2));
      await assertNothingLeft();
    });

    test('does not wait for ever for a plugin that fails, and keeps its record', async () => {
      await fake.configure(['bridge']);
      const before = await open();
      await before.attach(attachRequest(id));
      await fake.on('bridge', 'DEL', failing(100, 'stuck'));
      const network = await open();
      await network.recover([]);
      assert.ok(table.committed.has(id));
      await fake.on('bridge', 'DEL');
      await network.recover([]);
      await assertNothingLeft();
    });

    test('tells the plugins from 1.1.0 on who is left, and nobody is attached meanwhile', async () => {
      await fake.configure(['bridge', 'portmap'], { cniVersion: '1.1.0' });
      const network = await open();
      await network.attach(attachRequest(idOf(1)));
      await network.attach(attachRequest(idOf(2)));
      await fake.on('bridge', 'GC', 'sleep 0.2; false || exit 1');
      const recovered = network.recover(live(idOf(1), idOf(7)));
      while ((await fake.calls('GC')).length === 0) await new Promise(setImmediate);
      await Promise.all([recovered, network.attach(attachRequest(idOf(3)))]);
      const calls = (await fake.calls()).slice(4);
      assert.deepEqual(
        calls.map(({ command, plugin }) => `${command} ${plugin}`),
        ['DEL portmap', 'DEL bridge', 'GC bridge', 'GC portmap', 'ADD bridge', 'ADD portmap'],
      );
      const valid = [
        { containerID: idOf(1), ifname: 'eth0' },
        { containerID: idOf(7), ifname: 'eth0' },
      ];
      assert.deepEqual(calls[2]?.config['cni.dev/valid-attachments'], valid);
      assert.deepEqual(calls[2]?.config['cni.dev/attachments'], valid);
    });

    test('collects nothing where the configuration forbids it', async () => {
      await fake.configure(['bridge'], { cniVersion: '1.1.0', disableGC: true });
      await (await open()).recover([]);
      assert.deepEqual(await fake.calls(), []);
    });

    test('removes its own pins that nobody knows, and no others', async () => {
      await fake.configure(['bridge']);
      const network = await open();
      const pins = join(fake.base, 'netns');
      for (const name of [`coracle-${idOf(5)}`, `coracle-${idOf(6)}`, 'coracle-x', 'cni-1']) {
        await writeFile(join(pins, name), '');
      }
      await network.recover(live(idOf(6)));
      assert.equal((await fake.pins()).length, 4, 'they may just be made by another instance');
      const clock = Date.now;
      Date.now = () => clock() + 120_000;
      try {
        await network.recover(live(idOf(6)));
      } finally {
        Date.now = clock;
      }
      assert.deepEqual(await fake.pins(), ['cni-1', `coracle-${idOf(6)}`, 'coracle-x']);
    });
  });

  test('CHECK is asked where it may be', async () => {
    await fake.configure(['bridge', 'portmap'], { cniVersion: '0.4.0' });
    const network = await open();
    await network.attach(attachRequest(id));
    assert.equal(await network.check(id), true);
    assert.deepEqual((await order()).slice(2), ['CHECK bridge', 'CHECK portmap']);
    await fake.on('portmap', 'CHECK', failing(100, 'rule is missing'));
    await assert.rejects(network.check(id), /plugin portmap: CHECK: rule is missing/);
    await network.detach(id);
    await assert.rejects(network.check(id), { kind: 'NotFound' });
    for (const keys of [{ cniVersion: '0.3.1' }, { cniVersion: '1.0.0', disableCheck: true }]) {
      await fake.configure(['bridge'], keys);
      const other = await open();
      await other.attach(attachRequest(id));
      assert.equal(await other.check(id), false);
      await other.detach(id);
    }
  });

  test('plugins inherit the environment, but nothing of the protocol', async () => {
    await fake.configure(['bridge']);
    await fake.on('bridge', 'ADD', 'env > "$base/env"');
    process.env.CNI_OLD = 'x';
    process.env.NOTIFY_SOCKET = '/run/x';
    process.env.HTTPS_PROXY = 'http://proxy';
    try {
      await (await open()).attach(attachRequest(id));
    } finally {
      for (const name of ['CNI_OLD', 'NOTIFY_SOCKET', 'HTTPS_PROXY']) delete process.env[name];
    }
    const env = await fake.read('env');
    assert.match(env, /^HTTPS_PROXY=http:\/\/proxy$/m);
    assert.doesNotMatch(env, /CNI_OLD|NOTIFY_SOCKET/);
  });
});

/** A zombie that nobody has reaped yet is dead. */
function alive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
