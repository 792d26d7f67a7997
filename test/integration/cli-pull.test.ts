/** `coracle pull` as a user meets it: through a server and on a root directory of its own. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { makeBusyboxLayout } from '../../scripts/busybox-image.mjs';
import { CLI } from '../helpers/cli.ts';
import { type LayoutRegistry, serveLayout } from '../helpers/layout-registry.ts';
import { TestServer } from '../helpers/server.ts';

let server: TestServer;
let open: LayoutRegistry;
let closed: LayoutRegistry;
let id: string;

before(async () => {
  server = await TestServer.start();
  const layout = join(server.dir, 'tool');
  id = makeBusyboxLayout(layout, { name: 'unused.local/tool:1' }).configDigest;
  open = await serveLayout(layout);
  closed = await serveLayout(layout, 'user:pass:word');
});

after(async () => {
  await open[Symbol.asyncDispose]();
  await closed[Symbol.asyncDispose]();
  await server.close();
});

function command(...args: string[]): string[] {
  const where = ['--root', server.root, '--state', server.state];
  where.push('--listen', `unix://${server.socket}`, '--log-level', 'silent');
  return [process.execPath, ...CLI, ...args, ...where];
}

function start(argv: string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  const [program = '', ...args] = argv;
  return spawn(program, args, { stdio: 'pipe', env: { ...process.env, ...env } });
}

interface Result {
  code: number | null;
  stdout: string;
  stderr: string;
}

async function finish(child: ChildProcess, input = ''): Promise<Result> {
  if (!child.stdin || !child.stdout || !child.stderr) throw new Error('no pipes');
  child.stdin.end(input);
  const exit = once(child, 'exit');
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { code: (await exit)[0], stdout, stderr };
}

function coracle(...args: string[]): Promise<Result> {
  return finish(start(command(...args)));
}

async function lifeOfAPull() {
  const name = `${open.host}/team/tool:1`;
  const first = await coracle('pull', name);
  assert.deepEqual([first.code, first.stdout], [0, `${id}\n`], first.stderr);
  assert.match(first.stderr, /^[0-9a-f]{12}: done, [\d.]+ [kM]B\n[\d.]+ [kM]B in \d+ s\n$/);
  const again = await coracle('pull', name);
  assert.match(again.stderr, /^[0-9a-f]{12}: is here, [\d.]+ [kM]B\n/);
  const quiet = await coracle('pull', '--quiet', `${open.host}/team/tool:2`);
  assert.deepEqual(quiet, { code: 0, stdout: `${id}\n`, stderr: '' });

  const missing = await coracle('pull', 'team/UPPER');
  assert.deepEqual([missing.code, missing.stdout], [1, '']);
  assert.match(missing.stderr, /^coracle: image reference "team\/UPPER": .*lower case\n$/);
  const refused = await coracle('rmi', id);
  assert.deepEqual(refused, {
    code: 0,
    stdout: `${open.host}/team/tool:1\n${open.host}/team/tool:2\n`,
    stderr: '',
  });
}

async function credentials() {
  const name = `${closed.host}/team/tool:1`;
  const denied = await coracle('pull', name);
  assert.deepEqual([denied.code, denied.stdout], [1, '']);
  assert.match(denied.stderr, /denied.* \(AuthorizationFailed\)\ncoracle: hint: give cred/);
  const wrong = await coracle('pull', '--creds', 'user:hush', name);
  assert.match(wrong.stderr, /\(AuthorizationFailed\)\ncoracle: hint: the registry refuses/);
  assert.ok(!wrong.stderr.includes('hush'));

  const right = await coracle('pull', '-q', '--creds', 'user:pass:word', name);
  assert.deepEqual(right, { code: 0, stdout: `${id}\n`, stderr: '' });
  const stdin = start(command('pull', '-q', '--creds-stdin', name));
  assert.equal((await finish(stdin, 'user:pass:word\n')).code, 0);
  const variable = start(command('pull', '-q', name), { CORACLE_CREDS: 'user:pass:word' });
  assert.equal((await finish(variable)).code, 0);
  assert.equal((await coracle('rmi', name)).code, 0);
}

async function interrupted() {
  closed.stalled = true;
  const stall = closed.stall();
  const name = `${closed.host}/team/tool:1`;
  const child = start(command('pull', '--creds', 'user:pass:word', name));
  const result = finish(child);
  await stall;
  const commandLine = readFileSync(`/proc/${child.pid}/cmdline`, 'utf8').replace(/\0+$/, '');
  assert.equal(commandLine, `coracle pull ${name}`);
  const hangUp = closed.hangUp();
  child.kill('SIGINT');
  await hangUp;
  const { code, stdout, stderr } = await result;
  assert.deepEqual([code, stdout], [130, '']);
  assert.match(stderr, /^coracle: .*(interrupted|cancelled).*\n$/i);
  closed.stalled = false;
  assert.equal((await coracle('images', '-q')).stdout, '');
}

test('through a server: progress, the id, several names', lifeOfAPull);
test('through a server: credentials, and where they come from', credentials);
test('through a server: ^C gives the pull up there, too', { timeout: 60_000 }, interrupted);

test('a terminal is drawn on, and has its cursor back at the end', async () => {
  const name = `${open.host}/team/tool:1`;
  const line = command('pull', name)
    .map((word) => `'${word}'`)
    .join(' ');
  const env = { TERM: 'xterm', COLUMNS: '80' };
  const child = start(['script', '-qec', `stty cols 60 rows 20; ${line}`, '/dev/null'], env);
  const { code, stdout } = await finish(child);
  assert.equal(code, 0, stdout);
  const hidden = stdout.indexOf('\x1b[?25l');
  const shown = stdout.lastIndexOf('\x1b[?25h');
  assert.ok(hidden >= 0 && shown > hidden, JSON.stringify(stdout));
  assert.match(stdout, /[0-9a-f]{12} {2}(done|is here) /);
  assert.match(stdout, /1 of 1 layers, /);
  assert.ok(stdout.trimEnd().endsWith(id));
  await coracle('rmi', name);
});

test('a name, a repository and an id list images, also as JSON; digests are shown', async () => {
  for (const tag of ['1', '2']) await coracle('pull', '-q', `${open.host}/team/tool:${tag}`);
  const rows = async (...args: string[]) =>
    (await coracle('images', ...args)).stdout.trimEnd().split('\n').slice(1);
  assert.equal((await rows(`${open.host}/team/tool`)).length, 2);
  assert.equal((await rows(`${open.host}/team/tool:1`)).length, 2, 'every name of the image');
  assert.equal((await rows(id.slice('sha256:'.length, 20))).length, 2);
  assert.deepEqual(await rows(`${open.host}/team/other`), []);
  const [row] = await rows('--digests', '--no-trunc');
  assert.match(row ?? '', /^127\S+:1 +sha256:[0-9a-f]{64} +sha256:[0-9a-f]{64} +[\d.]+ [kM]B$/);
  const json = JSON.parse((await coracle('images', '--json')).stdout);
  assert.deepEqual(
    [json.length, json[0].id, json[0].repoTags.length, json[0].pinned],
    [1, id, 2, false],
  );
});

async function inspected() {
  const one = JSON.parse((await coracle('inspecti', id)).stdout);
  assert.equal(one.id, id);
  assert.equal(one.imageSpec.os, 'linux');
  assert.deepEqual(one.imageSpec.config.Cmd, ['sh']);
  // One layer: its chain id is its own digest.
  assert.deepEqual(one.imageSpec.rootfs.diff_ids, [one.chainID]);
  const two = JSON.parse((await coracle('inspecti', id, id)).stdout);
  assert.deepEqual(two, [one, one]);
  const none = await coracle('inspecti', 'no/such:1');
  assert.deepEqual(none, {
    code: 1,
    stdout: '',
    stderr: 'coracle: image "no/such:1" not found\n',
  });
}

test('an image is shown with its configuration', inspected);

test('the same without a server', { timeout: 120_000 }, async () => {
  await server.end('SIGTERM');
  await inspected();
  assert.deepEqual(await coracle('rmi', 'no/such:1', `${open.host}/team/tool:2`, id), {
    code: 1,
    stdout: `${open.host}/team/tool:1\n${open.host}/team/tool:2\n`,
    stderr: 'coracle: image "no/such:1" not found\n',
  });
  assert.equal((await coracle('rmi', '--force', id)).code, 0);
  await lifeOfAPull();
  await credentials();
  await interrupted();
  await server.launch();
});
