import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { makeDirectory } from '../../src/runtime/make-directory.ts';

const dir = mkdtempSync(join(tmpdir(), 'make-'));
after(() => rmSync(dir, { recursive: true }));

test('a directory is made with those above it, whatever of them is there', async () => {
  const path = join(dir, 'a/b/c');
  await Promise.all([makeDirectory(path, 0o750), makeDirectory(join(dir, 'a/b/d'), 0o750)]);
  await makeDirectory(path, 0o750);
  assert.equal(statSync(path).mode & 0o7777 & ~process.umask(), 0o750 & ~process.umask());
  symlinkSync(path, join(dir, 'link'));
  await makeDirectory(join(dir, 'link'), 0o750);
  await makeDirectory('/', 0o750);
});

test('where none can be made it says so at once, also where procfs says ENOENT', async () => {
  writeFileSync(join(dir, 'file'), '');
  symlinkSync('nowhere', join(dir, 'dangling'));
  symlinkSync('loop', join(dir, 'loop'));
  const cases: [string, string][] = [
    ['/proc/no/such', 'ENOENT'],
    ['/proc/self/no', 'ENOENT'],
    [join(dir, 'file'), 'EEXIST'],
    [join(dir, 'file/below/it'), 'ENOTDIR'],
    [join(dir, 'dangling'), 'EEXIST'],
    [join(dir, 'loop/x'), 'ELOOP'],
    [join(dir, 'n'.repeat(256), 'x'), 'ENAMETOOLONG'],
    [`/${'d/'.repeat(3000)}`, 'ENAMETOOLONG'],
  ];
  for (const [path, code] of cases) await assert.rejects(makeDirectory(path, 0o755), { code });
});
