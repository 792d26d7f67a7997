/** What containers that share something of the host find of the runtime there. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { NamespaceMode } from '../../src/cri/gen/cri.ts';
import { ATTACKER, importAttacker } from '../helpers/attacker.ts';
import { CLI } from '../helpers/cli.ts';
import { runPod, type TestPod } from '../helpers/pod.ts';
import { serverSuite } from '../helpers/server-suite.ts';

const PACKAGE = fileURLToPath(new URL('../..', import.meta.url));

let image: string;
let pod: TestPod;

const server = serverSuite(async () => {
  image = await importAttacker(server);
  pod = await runPod(server, image, NamespaceMode.CONTAINER, NamespaceMode.NODE);
});

async function sh(containerId: string, script: string): Promise<string> {
  const cmd = ['sh', '-c', `(${script}) 2>&1`];
  const { stdout } = await server.client.execSync({ containerId, cmd });
  return `${stdout}`.trim();
}

/** The server and its monitors. */
function runtimeProcesses(): string[] {
  const monitors = readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/comm`, 'utf8') === 'coracle-monitor\n';
    } catch {
      return false;
    }
  });
  assert.ok(monitors.length > 0);
  return [String(server.pid), ...monitors];
}

test('CVE-2020-15257: no socket of the runtime is abstract, so that a network would reach it', async () => {
  const containerId = await pod.run(['sleep', '1000']);
  const sockets = runtimeProcesses().flatMap((pid) =>
    readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [];
      } catch {
        return [];
      }
    }),
  );
  const table = (await sh(containerId, 'cat /proc/net/unix')).split('\n').slice(1);
  const own = table
    .map((line) => line.split(/\s+/))
    .filter((each) => sockets.includes(each[6] ?? ''));
  assert.deepEqual(
    own.filter((each) => each[7]?.startsWith('@')),
    [],
  );
  assert.ok(
    own.some((each) => each[7]?.endsWith('monitor.sock')),
    'it sees the sockets',
  );
});

test('a container on the host’s network reaches no stream that was not granted to it', async () => {
  const containerId = await pod.run(['sleep', '1000']);
  const { url } = await server.client.exec({ containerId, cmd: ['sh'], stdout: true });
  const granted = new URL(url);
  const upgrade = (path: string) =>
    'printf "%s\\r\\n" ' +
    `"GET ${path} HTTP/1.1" "Host: x" "Connection: Upgrade" "Upgrade: SPDY/3.1" ` +
    '"X-Stream-Protocol-Version: v4.channel.k8s.io" "" | ' +
    `timeout 5 nc ${granted.hostname} ${granted.port} | head -n 1`;
  const token = granted.pathname.split('/').at(-1) ?? '';
  const guesses = [
    ...['', 'x', 'A'.repeat(22), token.slice(1), `${token}x`, `${token}/..`, `%${token}`],
    `${token.slice(0, -1)}${token.endsWith('A') ? 'B' : 'A'}`,
  ];
  for (const guess of guesses) {
    assert.match(await sh(containerId, upgrade(`/exec/${guess}`)), /^HTTP\/1\.1 404 /, guess);
  }
  for (const kind of ['attach', 'portforward']) {
    assert.match(await sh(containerId, upgrade(`/${kind}/${token}`)), /^HTTP\/1\.1 404 /, kind);
  }
  assert.match(await sh(containerId, upgrade(granted.pathname)), /^HTTP\/1\.1 101 /);
  assert.match(await sh(containerId, upgrade(granted.pathname)), /^HTTP\/1\.1 404 /, 'once');
});

test('sockets and files of the runtime are root’s, and open to nobody else', async () => {
  await pod.run(['sleep', '1000']);
  const wrong: string[] = [];
  const look = (path: string) => {
    const status = lstatSync(path);
    const mode = status.mode & 0o777;
    const open = status.isSocket() ? mode & 0o007 : mode & 0o022;
    if (!status.isSymbolicLink() && (status.uid !== 0 || open !== 0)) {
      wrong.push(`${mode.toString(8)} ${path}`);
    }
    // What is in layers is the images', behind the directories that are looked at here.
    if (!status.isDirectory() || /\/(upper|work|fs)$/.test(path)) return;
    for (const name of readdirSync(path)) look(join(path, name));
  };
  for (const top of [server.root, server.state, server.socket]) look(top);
  assert.deepEqual(wrong, []);
  assert.equal(statSync(server.socket).mode & 0o777, 0o660);
  for (const closed of ['root/containers', 'root/layers', 'root/pods', 'root/meta', 'state/pods']) {
    assert.equal(statSync(join(server.dir, closed)).mode & 0o077, 0, closed);
  }
});

test("what containers write into their pod's files is not on the state directory", async () => {
  const containerId = await pod.run(['sleep', '1000']);
  const before = execFileSync('du', ['-s', server.state], { encoding: 'utf8' });
  for (const file of ['/etc/hosts', '/etc/hostname', '/etc/resolv.conf']) {
    assert.match(
      await sh(containerId, `head -c 20m /dev/zero >> ${file}; wc -c < ${file}`),
      /^\d{8}$/,
    );
  }
  assert.equal(execFileSync('du', ['-s', server.state], { encoding: 'utf8' }), before);
  const files = join(server.root, 'pods', pod.id);
  assert.deepEqual(readdirSync(files).sort(), ['hostname', 'hosts', 'resolv.conf']);
  await server.client.removePodSandbox({ podSandboxId: pod.id });
  assert.equal(existsSync(files), false);
  assert.deepEqual(readdirSync(join(server.root, 'pods')), []);
  pod = await runPod(server, image, NamespaceMode.CONTAINER, NamespaceMode.NODE);
});

test('a program that has this terminal as its standard input cannot type into it', async () => {
  await server.end('SIGTERM');
  const command = [process.execPath, ...CLI, 'run', '--rm', '-i', '--net', 'none'];
  const at = ['--root', server.root, '--state', server.state, '--log-level', 'error'];
  // script(1) makes the terminal, and a shell in it that says what it was sent.
  const line = `${[...command, ...at, image, ATTACKER, 'terminal'].join(' ')}; echo ended`;
  const text = execFileSync('script', ['-qec', line, '/dev/null'], {
    cwd: PACKAGE,
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, SHELL: '/bin/sh' },
  });
  mkdirSync(join(server.root, 'pods', 'lost'));
  writeFileSync(join(server.root, 'pods', 'lost', 'hosts'), '');
  await server.launch();
  assert.equal(existsSync(join(server.root, 'pods', 'lost')), false, 'files without a record go');
  assert.match(text, /ended/);
  assert.doesNotMatch(text, /no terminal|opens|injected/);
});
