/** `coracle run` as a user meets it. */
import assert from 'node:assert/strict';
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { makeBusyboxLayout } from '../../scripts/busybox-image.mjs';
import { CLI } from '../helpers/cli.ts';
import { type Snapshot, settledLeaks, snapshot } from '../helpers/leaks.ts';

const PACKAGE = fileURLToPath(new URL('../..', import.meta.url));
const dir = mkdtempSync(join(tmpdir(), 'coracle-run-'));
const layout = join(dir, 'layout');
const directories = ['--root', join(dir, 'root'), '--state', join(dir, 'state')];
let clean: Snapshot;

before(async () => {
  clean = snapshot();
  await makeBusyboxLayout(layout, { name: 'test.local/busybox:1' });
});

after(async () => {
  rmSync(dir, { recursive: true, force: true });
  assert.deepEqual(await settledLeaks(clean), {});
});

function run(args: string[], input = ''): SpawnSyncReturns<string> {
  const main = [...CLI, 'run', ...directories, '--rm', ...args];
  return spawnSync(process.execPath, main, { cwd: PACKAGE, encoding: 'utf8', input });
}

test('an archive by path, its output, and the exit code of the container', () => {
  const { stdout, stderr, status } = run(['--net', 'none', layout, 'sh', '-c', 'echo hi; exit 9']);
  assert.deepEqual({ stdout, stderr, status }, { stdout: 'hi\n', stderr: '', status: 9 });
});

test('volumes, variables and standard input', () => {
  const source = join(dir, 'source');
  mkdirSync(source, { recursive: true });
  writeFileSync(join(source, 'file'), 'of the host\n');
  const script = 'cat /v/file; echo $A; cat; echo x 2>/dev/null > /v/new || echo read-only';
  const args = ['--net', 'none', '-i', '-e', 'A=b', '-v', `${source}:/v:ro`];
  const { stdout } = run([...args, 'test.local/busybox:1', 'sh', '-c', script], 'piped\n');
  assert.equal(stdout, 'of the host\nb\npiped\nread-only\n');
});

test("a command that is missing, or no program, has a shell's exit code", () => {
  const missing = run(['--net', 'none', 'test.local/busybox:1', '/no/such']);
  assert.equal(missing.status, 127);
  assert.equal(missing.stderr, 'coracle: exec /no/such: no such file or directory\n');
  assert.equal(run(['--net', 'none', 'test.local/busybox:1', '/etc/passwd']).status, 126);
  assert.equal(run(['--net', 'wrong', 'test.local/busybox:1']).status, 125);
});

test('a terminal of its own', () => {
  const { stdout, status } = run([
    '--net',
    'none',
    '-t',
    'test.local/busybox:1',
    'sh',
    '-c',
    'tty; stty size',
  ]);
  assert.equal(status, 0);
  assert.match(stdout, /^\/dev\/pts\/0\r\n\d+ \d+\r\n$/);
});

test('an address by default', () => {
  const { stdout } = run(['test.local/busybox:1', 'ip', '-4', 'addr', 'show', 'eth0']);
  assert.match(stdout, /inet \d+\.\d+\.\d+\.\d+\/\d+/);
});

test('--rm leaves no container and no pod', () => {
  assert.deepEqual(readdirSync(join(dir, 'root', 'containers')), []);
  assert.deepEqual(readdirSync(join(dir, 'state', 'pods')), []);
});
