import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { addon, describeNative, isNativeError } from '../../src/native/addon.ts';

describe('runFileOps', () => {
  let dir: string;
  beforeEach(() => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'coracle-files-'));
  });
  afterEach(() => {
    fs.rmSync(dir, { recursive: true, force: true });
  });

  it('should make directories, with parents, and accept existing ones', async () => {
    const deep = path.join(dir, 'a/b/c');
    await addon.runFileOps([
      { op: 'mkdir', path: deep, mode: 0o700, parents: true },
      { op: 'mkdir', path: deep, mode: 0o700, parents: true },
      { op: 'mkdir', path: deep, mode: 0o700, parents: false },
    ]);
    assert.equal(fs.statSync(deep).mode & 0o777, 0o700);
  });

  it('should stop at the first failure and say step, errno and path', async () => {
    const file = path.join(dir, 'file');
    fs.writeFileSync(file, '');
    const below = path.join(file, 'x');
    const later = path.join(dir, 'later');
    await assert.rejects(
      addon.runFileOps([
        { op: 'mkdir', path: below, mode: 0o755, parents: false },
        { op: 'mkdir', path: later, mode: 0o755, parents: false },
      ]),
      (error: unknown) => {
        assert.ok(isNativeError(error));
        assert.deepEqual(
          { step: error.step, errno: error.errno, code: error.code, path: error.path },
          { step: 'mkdir', errno: os.constants.errno.ENOTDIR, code: 'ENOTDIR', path: below },
        );
        assert.equal(error.message, `mkdir ${below}: not a directory`);
        assert.equal(describeNative(error), error.message);
        return true;
      },
    );
    assert.equal(fs.existsSync(later), false);
  });

  it('should write existing files and forgive missing ones only where optional', async () => {
    const file = path.join(dir, 'limit');
    const missing = path.join(dir, 'missing');
    fs.writeFileSync(file, '');
    await addon.runFileOps([
      { op: 'write', path: file, value: '42', optional: false },
      { op: 'write', path: missing, value: '42', optional: true },
    ]);
    assert.equal(fs.readFileSync(file, 'utf8'), '42');
    assert.equal(fs.existsSync(missing), false);
    await assert.rejects(
      addon.runFileOps([{ op: 'write', path: missing, value: '', optional: false }]),
      { message: `open ${missing}: no such file or directory` },
    );
  });

  it('should forgive a value that the kernel refuses only where optional', async () => {
    const file = '/proc/self/oom_score_adj';
    await addon.runFileOps([{ op: 'write', path: file, value: '5000', optional: true }]);
    await assert.rejects(
      addon.runFileOps([{ op: 'write', path: file, value: '5000', optional: false }]),
      { code: 'EINVAL', message: `write "5000" to ${file}: invalid argument` },
    );
  });

  it('should not hide a full disk behind optional', async () => {
    await assert.rejects(
      addon.runFileOps([{ op: 'write', path: '/dev/full', value: 'x', optional: true }]),
      { code: 'ENOSPC' },
    );
  });

  it('should write each value from the begin of its file, and to the file that has the name then', async () => {
    const [file, other] = ['limit', 'other'].map((name) => path.join(dir, name)) as [
      string,
      string,
    ];
    const group = path.join(dir, 'group');
    fs.writeFileSync(file, '');
    fs.writeFileSync(other, '');
    await addon.runFileOps([
      { op: 'write', path: file, value: 'first', optional: false },
      { op: 'write', path: file, value: 'again', optional: false },
      { op: 'write', path: other, value: 'o', optional: false },
      { op: 'discard', path: file, to: group },
      { op: 'create', path: file, value: '', mode: 0o600, uid: 0, gid: 0 },
      { op: 'write', path: file, value: 'new', optional: false },
    ]);
    const texts = [file, other, group].map((each) => fs.readFileSync(each, 'utf8'));
    assert.deepEqual(texts, ['new', 'o', 'again']);
  });

  it('should create files with their content, mode and owner, over others but no links', async () => {
    const file = path.join(dir, 'hosts');
    const create = { op: 'create', path: file, mode: 0o664, uid: 7, gid: 8 } as const;
    fs.writeFileSync(file, 'longer than the next one', { mode: 0o600 });
    const before = process.umask(0o077);
    try {
      await addon.runFileOps([{ ...create, value: 'text' }]);
    } finally {
      process.umask(before);
    }
    const { mode, uid, gid } = fs.statSync(file);
    assert.deepEqual([mode & 0o7777, uid, gid], [0o664, 7, 8]);
    assert.equal(fs.readFileSync(file, 'utf8'), 'text');
    const link = path.join(dir, 'link');
    fs.symlinkSync(file, link);
    const through = addon.runFileOps([{ ...create, path: link, value: 'x' }]);
    await assert.rejects(through, { code: 'ELOOP', path: link });
    assert.equal(fs.readFileSync(file, 'utf8'), 'text');
  });

  it('should discard by a rename, and delete what cannot be renamed', async () => {
    const [tree, to] = [path.join(dir, 'tree'), path.join(dir, 'trash')];
    const fill = () => fs.mkdirSync(path.join(tree, 'a/b'), { recursive: true });
    fill();
    const gone = { op: 'discard', path: tree, to } as const;
    await addon.runFileOps([gone, gone]);
    assert.equal(fs.existsSync(tree), false);
    assert.ok(fs.existsSync(path.join(to, 'a/b')));
    fill();
    await addon.runFileOps([{ ...gone, to: '/dev/shm/coracle/nowhere' }]);
    assert.equal(fs.existsSync(tree), false);
  });

  it('should remove directories, missing ones too', async () => {
    const sub = path.join(dir, 'sub');
    fs.mkdirSync(sub);
    await addon.runFileOps([
      { op: 'rmdir', path: sub, below: false },
      { op: 'rmdir', path: sub, below: true },
      { op: 'removeTree', path: sub },
    ]);
    const code = process.getuid?.() === 0 ? 'EBUSY' : 'EACCES';
    await assert.rejects(addon.runFileOps([{ op: 'rmdir', path: '/proc', below: false }]), {
      code,
    });
  });

  it('should remove directories in one another, and no file that is in one', async () => {
    const top = path.join(dir, 'top');
    const fill = () => fs.mkdirSync(path.join(top, 'a/b/c'), { recursive: true });
    const remove = (below: boolean) => addon.runFileOps([{ op: 'rmdir', path: top, below }]);
    fill();
    fs.mkdirSync(path.join(top, 'd'));
    await assert.rejects(remove(false), { code: 'ENOTEMPTY', path: top });
    await remove(true);
    assert.equal(fs.existsSync(top), false);
    fill();
    fs.writeFileSync(path.join(top, 'a/b/file'), '');
    fs.symlinkSync(os.tmpdir(), path.join(top, 'link'));
    await assert.rejects(remove(true), { code: 'ENOTEMPTY', path: path.join(top, 'a/b') });
    assert.deepEqual(fs.readdirSync(path.join(top, 'a/b')), ['file']);
  });

  it('should remove a tree and nothing that its links point to', async () => {
    const outside = path.join(dir, 'outside');
    const tree = path.join(dir, 'tree');
    fs.mkdirSync(outside);
    fs.writeFileSync(path.join(outside, 'keep'), '');
    fs.mkdirSync(path.join(tree, 'a/b'), { recursive: true });
    fs.symlinkSync(outside, path.join(tree, 'a/link'));
    fs.symlinkSync(path.join(outside, 'keep'), path.join(tree, 'file-link'));
    fs.writeFileSync(path.join(tree, 'a/b/file'), '');
    if (process.getuid?.() === 0) fs.chmodSync(path.join(tree, 'a/b'), 0);
    await addon.runFileOps([{ op: 'removeTree', path: tree }]);
    assert.equal(fs.existsSync(tree), false);
    assert.deepEqual(fs.readdirSync(outside), ['keep']);
    const link = path.join(dir, 'link');
    fs.symlinkSync(outside, link);
    await addon.runFileOps([{ op: 'removeTree', path: link }]);
    assert.deepEqual(fs.readdirSync(outside), ['keep']);
    assert.equal(fs.existsSync(link), false);
  });

  it('should remove a tree deeper than a path, and one with many entries', async () => {
    const tree = path.join(dir, 'tree');
    fs.mkdirSync(tree);
    execFileSync('bash', [
      '-c',
      'cd "$1"; p=$(printf "d/%.0s" {1..75}); for i in {1..20}; do mkdir -p $p f; cd $p; done; > end',
      'bash',
      tree,
    ]);
    for (let i = 0; i < 3000; i++) fs.writeFileSync(path.join(tree, `n${i}`), '');
    await addon.runFileOps([{ op: 'removeTree', path: tree }]);
    assert.equal(fs.existsSync(tree), false);
  });

  it('should not enter a bind mount of the same file system', async (t) => {
    if (process.getuid?.() !== 0) return t.skip('needs root');
    const outside = path.join(dir, 'outside');
    const tree = path.join(dir, 'tree');
    const target = path.join(tree, 'sub/mnt');
    fs.mkdirSync(outside);
    fs.writeFileSync(path.join(outside, 'keep'), '');
    fs.mkdirSync(target, { recursive: true });
    execFileSync('mount', ['--bind', outside, target]);
    try {
      await assert.rejects(addon.runFileOps([{ op: 'removeTree', path: tree }]), {
        code: 'EXDEV',
        path: target,
      });
      assert.deepEqual(fs.readdirSync(outside), ['keep']);
    } finally {
      execFileSync('umount', [target]);
    }
  });

  it('should bind a namespace to a file, and take every mount off it again', async (t) => {
    if (process.getuid?.() !== 0) return t.skip('needs root');
    const pin = path.join(dir, 'pin');
    const bind = { op: 'bindFile', source: '/proc/self/ns/net', path: pin } as const;
    await addon.runFileOps([bind]);
    try {
      assert.equal(fs.statSync(pin).ino, fs.statSync('/proc/self/ns/net').ino);
      await addon.runFileOps([bind]);
    } finally {
      await addon.runFileOps([{ op: 'unbindFile', path: pin }]);
    }
    assert.equal(fs.existsSync(pin), false);
    assert.ok(!fs.readFileSync('/proc/self/mountinfo', 'utf8').includes(pin));
    // What is not there, and what nothing is mounted on, is no error.
    fs.writeFileSync(pin, '');
    await addon.runFileOps([
      { op: 'unbindFile', path: pin },
      { op: 'unbindFile', path: pin },
    ]);
    assert.equal(fs.existsSync(pin), false);
    const source = path.join(dir, 'missing');
    await assert.rejects(addon.runFileOps([{ op: 'bindFile', source, path: pin }]), {
      code: 'ENOENT',
      path: pin,
    });
    assert.equal(fs.existsSync(pin), false);
  });

  it('should name the field of a wrong operation', async () => {
    const ops = [{ op: 'mkdir', path: '/x', mode: 'rwx', parents: true }] as never;
    await assert.rejects(addon.runFileOps(ops), {
      name: 'TypeError',
      message: 'ops[0].mode must be an integer from 0 to 4095',
    });
    await assert.rejects(addon.runFileOps([{ op: 'removeTree', path: '' }]), {
      name: 'TypeError',
      message: 'ops[0].path must be a path, not empty',
    });
  });
});
