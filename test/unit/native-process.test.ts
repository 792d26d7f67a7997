import assert from 'node:assert/strict';
import { spawn as nodeSpawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { describe, it } from 'node:test';
import { addon } from '../../src/native/addon.ts';
import { procStat } from '../helpers/proc-stat.ts';

const env = ['PATH=/usr/bin:/bin', 'WORD=coracle'];
function shell(script: string) {
  return { file: '/bin/sh', argv: ['sh', '-c', script], env };
}

function alive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

describe('spawn', () => {
  it('should return the exit code and both outputs', async () => {
    const result = await addon.spawn(shell('echo "$WORD"; echo oops >&2; exit 3'));
    assert.deepEqual(result, {
      exitCode: 3,
      stdout: 'coracle\n',
      stderr: 'oops\n',
      timedOut: false,
    });
  });

  it('should feed standard input larger than a pipe', async () => {
    const text = 'x'.repeat(1_000_000);
    const result = await addon.spawn({ ...shell('wc -c'), stdin: text });
    assert.equal(result.stdout.trim(), '1000000');
  });

  it('should not mind a program that ignores its input', async () => {
    const result = await addon.spawn({ ...shell('exit 0'), stdin: 'x'.repeat(1_000_000) });
    assert.equal(result.exitCode, 0);
  });

  it('should look a bare name up in PATH and use the working directory', async () => {
    const result = await addon.spawn({ file: 'pwd', argv: ['pwd'], env, cwd: '/usr' });
    assert.equal(result.stdout, '/usr\n');
  });

  it('should report 128 + n for a death by signal n', async () => {
    assert.equal((await addon.spawn(shell('kill -TERM $$'))).exitCode, 143);
  });

  it('should kill the whole group after the timeout', async () => {
    const result = await addon.spawn({ ...shell('sleep 60 & echo $!; wait'), timeoutMs: 200 });
    assert.equal(result.timedOut, true);
    assert.equal(result.exitCode, 137);
    const pid = Number(result.stdout);
    for (let i = 0; i < 50 && alive(pid); i++) await new Promise((done) => setTimeout(done, 20));
    assert.equal(alive(pid), false);
  });

  it('should keep no more output than asked for, and let the program finish', async () => {
    const script = 'head -c 3000000 /dev/zero | tr "\\0" x; exit 5';
    const result = await addon.spawn({ ...shell(script), maxOutput: 1000 });
    assert.equal(result.stdout.length, 1000);
    assert.equal(result.exitCode, 5);
  });

  it('should not wait for a background process that holds the pipes', async () => {
    const result = await addon.spawn(shell('sleep 30 & echo $!'));
    process.kill(Number(result.stdout), 'SIGKILL');
    assert.equal(result.exitCode, 0);
  });

  it('should say which program could not be executed', async () => {
    await assert.rejects(addon.spawn({ file: '/no/such', argv: ['x'], env: [] }), {
      step: 'exec',
      code: 'ENOENT',
      path: '/no/such',
      message: 'exec /no/such: no such file or directory',
    });
    await assert.rejects(addon.spawn({ file: '/etc/passwd', argv: ['x'], env: [] }), {
      message: 'exec /etc/passwd: permission denied',
    });
    await assert.rejects(addon.spawn({ ...shell('true'), cwd: '/no/dir' }), {
      message: 'chdir /no/dir: no such file or directory',
    });
  });

  it('should give the program default signals and no descriptors but its three', async () => {
    const script = 'ls /proc/self/fd; grep -E "^Sig(Blk|Ign|Cgt)" /proc/self/status';
    const { stdout } = await addon.spawn(shell(script));
    const lines = stdout.trim().split('\n');
    // 3 is the directory that ls itself reads.
    assert.deepEqual(lines.slice(0, 4), ['0', '1', '2', '3']);
    assert.equal(lines.filter((line) => /^Sig(Blk|Ign):\s+0{16}$/.test(line)).length, 2);
  });

  it('should leave no process and no descriptor behind', async () => {
    await addon.spawn(shell('true'));
    const before = fs.readdirSync('/proc/self/fd').length;
    await Promise.all(Array.from({ length: 20 }, () => addon.spawn(shell('exit 1'))));
    await assert.rejects(addon.spawn({ file: '/no/such', argv: ['x'], env: [] }));
    const after = fs.readdirSync('/proc/self/fd').length;
    assert.ok(after <= before, `${after} descriptors, ${before} before`);
    const children = fs
      .readdirSync('/proc/self/task')
      .map((task) => fs.readFileSync(`/proc/self/task/${task}/children`, 'utf8').trim())
      .flatMap((list) => (list === '' ? [] : list.split(' ')))
      .filter((pid) => fs.readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'sh');
    assert.deepEqual(children, []);
  });

  it('should not disturb child_process', async () => {
    const child = nodeSpawn('/bin/sh', ['-c', 'sleep 0.1; exit 7']);
    await Promise.all(Array.from({ length: 10 }, () => addon.spawn(shell('true'))));
    const [code] = await once(child, 'exit');
    assert.equal(code, 7);
  });
});

describe('killProcess', () => {
  it('should signal the process with that start time and no other', async () => {
    const child = nodeSpawn('/bin/sleep', ['60']);
    await once(child, 'spawn');
    const pid = child.pid ?? 0;
    const ticks = procStat(pid).startTicks;
    assert.throws(() => addon.killProcess(pid, ticks + 1n, 9), {
      code: 'ESRCH',
      message: `find process ${pid}: no such process`,
    });
    addon.killProcess(pid, ticks, 0);
    assert.equal(alive(pid), true);
    addon.killProcess(pid, ticks, 15);
    const [, signal] = await once(child, 'exit');
    assert.equal(signal, 'SIGTERM');
    assert.throws(() => addon.killProcess(pid, ticks, 15), { code: 'ESRCH' });
  });

  it('should refuse numbers that are no single process', () => {
    assert.throws(() => addon.killProcess(0, 0n, 9), { name: 'TypeError' });
    assert.throws(() => addon.killProcess(-1, 0n, 9), { name: 'TypeError' });
    assert.throws(() => addon.killProcess(1, 0 as never, 9), { name: 'TypeError' });
  });
});
