import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Flags, loadSettings, parseConfig } from '../../src/cli/config.ts';

const directory = mkdtempSync(join(tmpdir(), 'cli-'));
after(() => rmSync(directory, { recursive: true }));

function withFile(text: string, flags: Flags = {}) {
  const config = join(directory, 'config.toml');
  writeFileSync(config, text);
  return loadSettings({ ...flags, config });
}

describe('settings', () => {
  it('have defaults', () => {
    assert.deepEqual(withFile(''), {
      listen: 'unix:///run/coracle/coracle.sock',
      logLevel: 'info',
      runtime: {
        root: '/var/lib/coracle',
        state: '/run/coracle',
        cgroupDriver: 'cgroupfs',
        maxLogLine: 16_384,
        execDrainTimeoutMs: 10_000,
        network: {
          bridge: 'coracle0',
          cniBinDirs: ['/opt/cni/bin', '/usr/lib/cni'],
          cniTimeoutMs: 60_000,
        },
        images: {
          registryConfigDirs: ['/etc/coracle/certs.d'],
          progressTimeoutMs: 300_000,
          maxDownloads: 3,
          pinned: [],
        },
      },
      streaming: {
        address: '127.0.0.1:0',
        idleTimeoutMs: 14_400_000,
        drainTimeoutMs: 10_000,
      },
    });
  });

  it('come from every key of the file', () => {
    const settings = withFile(`
      listen = "/x.sock"
      root = "/r"
      state = "/s"
      cgroup-driver = "systemd"
      log-level = "debug"
      max-log-line = 100
      exec-drain-timeout-ms = 0
      stream-address = "[::1]:10010"
      stream-tls-cert = "/tls/cert.pem"
      stream-tls-key = "/tls/key.pem"
      stream-idle-timeout-ms = 0
      network-bridge = "br0"
      network-subnet = "10.9.0.0/16"
      network-subnet6 = "fd00:9::/64"
      cni-conf-dir = "/etc/cni/net.d"
      cni-bin-dir = "/a:/b"
      cni-timeout-ms = 5000
      registry-config-dir = "/c:/d"
      pull-progress-timeout-ms = 0
      max-concurrent-downloads = 8
      pinned-images = ["registry.k8s.io/pause:*"]
    `);
    assert.deepEqual(settings, {
      listen: '/x.sock',
      logLevel: 'debug',
      runtime: {
        root: '/r',
        state: '/s',
        cgroupDriver: 'systemd',
        maxLogLine: 100,
        execDrainTimeoutMs: 0,
        network: {
          bridge: 'br0',
          subnet: '10.9.0.0/16',
          subnet6: 'fd00:9::/64',
          cniConfDir: '/etc/cni/net.d',
          cniBinDirs: ['/a', '/b'],
          cniTimeoutMs: 5000,
        },
        images: {
          registryConfigDirs: ['/c', '/d'],
          progressTimeoutMs: 0,
          maxDownloads: 8,
          pinned: ['registry.k8s.io/pause:*'],
        },
      },
      streaming: {
        address: '[::1]:10010',
        tls: { cert: '/tls/cert.pem', key: '/tls/key.pem' },
        idleTimeoutMs: 0,
        drainTimeoutMs: 0,
      },
    });
  });

  it('are taken from flags before the file', () => {
    const flags = { root: '/flag', logLevel: 'error', cgroupDriver: 'cgroupfs', listen: '/f' };
    const file = 'root = "/file"\nlog-level = "debug"\nlisten = "/g"\nstate = "/file-state"';
    const { runtime, logLevel, listen } = withFile(file, flags);
    assert.deepEqual(
      [runtime.root, runtime.state, logLevel, listen],
      ['/flag', '/file-state', 'error', '/f'],
    );
  });

  it('take directories of flags from where the caller stands', () => {
    assert.equal(withFile('', { root: 'here' }).runtime.root, resolve('here'));
    const { network } = withFile('', { cniBinDir: 'a:/b' }).runtime;
    assert.deepEqual(network.cniBinDirs, [resolve('a'), '/b']);
  });

  const wrong: [string, string][] = [
    ['rooot = "/r"', 'config file F: rooot: there is no such key'],
    ['[network]\nbridge = "b"', 'config file F: network: there is no such key'],
    ['root = "r"', 'config file F: root: "r" must be an absolute path'],
    ['root = 5', 'config file F: root: 5 is not string'],
    ['cgroup-driver = "v3"', 'config file F: cgroup-driver: "v3" is not ("cgroupfs" | "systemd")'],
    ['max-log-line = 0', 'config file F: max-log-line: 0 is not >=1'],
    [
      'network-bridge = "sixteen-letters-"',
      'config file F: network-bridge: "sixteen-letters-" is not the name of a link',
    ],
    ['network-subnet = "ten"', 'config file F: network-subnet: "ten" is not a subnet, nor "none"'],
    ['network-subnet6 = "none"', 'config file F: network-subnet6: "none" is not a subnet'],
    [
      'cni-bin-dir = "/a:b"',
      'config file F: cni-bin-dir: "/a:b" must be absolute paths, joined by colons',
    ],
    ['stream-address = "10010"', 'config file F: stream-address: "10010" is not a HOST:PORT'],
    ['stream-address = "h:65536"', 'config file F: stream-address: "h:65536" is not a HOST:PORT'],
    ['stream-address = "[::1:]:1"', 'config file F: stream-address: "[::1:]:1" is not a HOST:PORT'],
    ['cni-timeout-ms = 0', 'config file F: cni-timeout-ms: 0 is not >=1'],
    [
      'a = "\nb',
      'config file F, line 1, column 6: Invalid TOML document: control characters are not allowed in strings',
    ],
  ];
  for (const [text, message] of wrong) {
    it(`refuse ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseConfig(text, 'F'), { kind: 'InvalidArgument', message });
    });
  }

  it('name the flag that is wrong', () => {
    assert.throws(() => withFile('', { cgroupDriver: 'x' }), {
      kind: 'InvalidArgument',
      message: /^--cgroup-driver: "x" is not/,
    });
  });

  it('need a key with a certificate', () => {
    assert.throws(() => withFile('stream-tls-cert = "/c"'), {
      kind: 'InvalidArgument',
      message: /^stream-tls-cert and stream-tls-key/,
    });
  });

  it('are NotFound where the file that is named is not there', () => {
    const config = join(directory, 'absent.toml');
    assert.throws(() => loadSettings({ config }), { kind: 'NotFound', message: /absent\.toml/ });
  });
});

describe('the command line', () => {
  const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

  function coracle(...args: string[]) {
    return new Promise<{ code: unknown; stdout: string; stderr: string }>((done) => {
      execFile(process.execPath, ['--import', 'tsx', main, ...args], (error, stdout, stderr) =>
        done({ code: error?.code ?? 0, stdout, stderr }),
      );
    });
  }

  it('complains in one line and exits with 1', async () => {
    const [unknown, config] = await Promise.all([
      coracle('doctor', '--frobnicate'),
      coracle('doctor', '--log-level', 'loud'),
    ]);
    assert.deepEqual([unknown.code, unknown.stdout], [1, '']);
    assert.match(unknown.stderr, /^coracle: unknown option '--frobnicate'\n$/);
    assert.equal(config.code, 1);
    assert.match(config.stderr, /^coracle: --log-level: "loud" is not .*\n$/);
  });

  it('exits with 125 where `run` does not get as far as a container', async () => {
    const { code, stderr } = await coracle('run', '--net', 'moon', 'busybox', 'ls', '-l');
    assert.equal(code, 125);
    assert.match(stderr, /^coracle: --net: "moon" is not none, host or pod\n$/);
  });

  it('tells about the host, as a table and as JSON', async () => {
    const [text, json] = await Promise.all([coracle('doctor'), coracle('doctor', '--json')]);
    assert.equal(text.code, 0, text.stderr);
    assert.match(text.stdout, /^CHECK +STATE +DETAIL\n/);
    const report = JSON.parse(json.stdout);
    assert.match(report.bootId, /^[0-9a-f-]{36}$/);
    for (const { name, state, detail } of report.checks) {
      assert.ok(['ok', 'degraded', 'missing'].includes(state), name);
      assert.ok(text.stdout.includes(detail), name);
    }
  });
});
