import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { addon } from '../../src/native/addon.ts';
import { scratchDirectory } from '../helpers/image-fixture.ts';
import { makeSystemTar } from '../helpers/system-tar.ts';
import { describeTree, differences, tarDigest } from '../helpers/tree-compare.ts';

async function unpack(dir: string, blob: string, compression: 'none' | 'gzip' = 'none') {
  const target = join(dir, 'ours');
  const work = join(dir, 'work');
  for (const path of [target, work]) mkdirSync(path, { recursive: true });
  const limits = { maxBytes: 64n << 30n, maxEntries: 1_000_000 };
  await addon.applyLayer({ blob, compression, target, work, parents: [], ...limits });
  return target;
}

function peer(dir: string, blob: string): string {
  const target = join(dir, 'peer');
  mkdirSync(target);
  const flags = ['--xattrs', '--xattrs-include=*', '--numeric-owner', '--delay-directory-restore'];
  // It complains of attributes that only files and directories can have.
  execFileSync('tar', [...flags, '-xpf', blob, '-C', target], { stdio: 'pipe' });
  return target;
}

test('a system tree comes out as GNU tar restores it', async () => {
  await using dir = await scratchDirectory();
  const tar = join(dir.path, 'system.tar');
  const limits = { maxEntries: 15_000, maxBytes: 100 << 20, maxFile: 1 << 20 };
  const { entries } = makeSystemTar(tar, limits);
  assert.ok(entries > 300, `${entries} entries`);
  writeFileSync(`${tar}.gz`, gzipSync(readFileSync(tar), { level: 1 }));
  const theirs = peer(dir.path, tar);
  const ours = await unpack(dir.path, `${tar}.gz`, 'gzip');
  assert.deepEqual(differences(describeTree(theirs), describeTree(ours)), []);
  assert.equal(tarDigest(ours), tarDigest(theirs));
});

/** What images seldom have. Names that are not UTF-8 need a shell: Node makes no such paths. */
function craft(tree: string): void {
  const at = (name: string) => join(tree, name);
  mkdirSync(at('d/deep er'), { recursive: true });
  writeFileSync(at('f'), 'data');
  linkSync(at('f'), at('hard1'));
  linkSync(at('f'), at('d/hard2'));
  symlinkSync('no/where', at('dangling'));
  linkSync(at('dangling'), at('hard-symlink'));
  writeFileSync(at('suid'), '#!');
  chownSync(at('suid'), 1234, 5678);
  chmodSync(at('suid'), 0o6755);
  writeFileSync(at('secret'), 'x', { mode: 0o000 });
  writeFileSync(at('group-writable'), 'x');
  chmodSync(at('group-writable'), 0o664);
  for (const [name, mode] of Object.entries({ sticky: 0o1777, shared: 0o2775, closed: 0o500 })) {
    mkdirSync(at(name));
    writeFileSync(at(`${name}/in`), name);
    chmodSync(at(name), mode);
  }
  writeFileSync(at(' lead, trail\n\\ '), 'odd');
  writeFileSync(at('ü-日本'), 'utf-8');
  const long = 'n'.repeat(250);
  mkdirSync(at(`${long}/${long}/${long}`), { recursive: true });
  writeFileSync(at(`${long}/${long}/${long}/file`), 'deep');
  symlinkSync(`${long}/${long}/${long}`, at('long-link'));
  writeFileSync(at('empty'), '');
  chownSync(at('empty'), 4_000_000, 3_999_999);
  writeFileSync(at('holes'), 'start');
  truncateSync(at('holes'), 5 << 20);
  writeFileSync(at('holes'), 'middle', { flag: 'r+' });
  writeFileSync(at('all-hole'), '');
  truncateSync(at('all-hole'), 1 << 20);
  const shell = `
    mknod null c 1 3; mknod disk b 259 70000; mkfifo -m 0620 fifo
    printf x > "$(printf 'latin-\\374')"; ln -s "$(printf 't\\374')" "$(printf 'sym-\\374')"
    printf end | dd of=holes bs=1 seek=3000000 conv=notrunc status=none
    touch -h -d '1969-12-31 23:59:50.25 UTC' f; touch -d '1902-01-01 UTC' suid
    touch -d '2440-01-01 00:00:00.123456789 UTC' empty
    touch -h -d '2001-02-03 04:05:06.789 UTC' dangling d sticky shared closed`;
  execFileSync('sh', ['-ec', shell], { cwd: tree });
}

test('every format of GNU tar comes out as GNU tar restores it', async (t) => {
  await using dir = await scratchDirectory();
  const tree = join(dir.path, 'tree');
  craft(tree);
  const note = '--pax-option=SCHILY.xattr.user.note:=kept,globexthdr.name=g';
  const cases: Record<string, string[]> = {
    pax: ['--format=pax', note],
    'pax, sparse 1.0': ['--format=pax', '--sparse', '--sparse-version=1.0'],
    'pax, sparse 0.1': ['--format=pax', '--sparse', '--sparse-version=0.1'],
    'pax, sparse 0.0': ['--format=pax', '--sparse', '--sparse-version=0.0'],
    gnu: ['--format=gnu'],
    'gnu, sparse': ['--format=gnu', '--sparse'],
    ustar: ['--format=ustar', '--exclude=nnn*', '--exclude=long-link', '--exclude=empty'],
    v7: ['--format=v7', '--exclude=nnn*', '--exclude=long-link', '--exclude=empty'],
  };
  for (const [name, flags] of Object.entries(cases)) {
    await t.test(name, async () => {
      const here = join(dir.path, name);
      mkdirSync(here);
      const tar = join(here, 'tree.tar');
      const nodes = name === 'v7' ? ['--exclude=null', '--exclude=disk', '--exclude=fifo'] : [];
      const old = name === 'v7' || name === 'ustar' ? ['--mtime=2001-01-01'] : [];
      execFileSync('tar', [...flags, ...nodes, ...old, '-C', tree, '-cf', tar, '.']);
      const theirs = peer(here, tar);
      const ours = await unpack(here, tar);
      assert.deepEqual(differences(describeTree(theirs), describeTree(ours)), []);
      assert.equal(tarDigest(ours), tarDigest(theirs));
      const files = execFileSync('find', ['.', '-name', 'f', '-printf', '%f'], { cwd: ours });
      assert.equal(files.toString(), 'f', 'something was compared');
    });
  }
});

test('a sparse file of more than 8 GiB keeps its size and its holes', async () => {
  await using dir = await scratchDirectory();
  const tree = join(dir.path, 'tree');
  mkdirSync(tree);
  writeFileSync(join(tree, 'big'), 'start');
  truncateSync(join(tree, 'big'), 9 * 1024 ** 3);
  for (const format of ['gnu', 'pax']) {
    const here = join(dir.path, format);
    mkdirSync(here);
    const tar = join(here, 'tree.tar');
    execFileSync('tar', ['--sparse', `--format=${format}`, '-C', tree, '-cf', tar, '.']);
    const ours = await unpack(here, tar);
    const shown = execFileSync('stat', ['-c', '%s %b', join(ours, 'big')])
      .toString()
      .split(' ');
    assert.equal(shown[0], String(9 * 1024 ** 3));
    assert.ok(Number(shown[1]) < 1000, `${shown[1]} blocks`);
  }
});
