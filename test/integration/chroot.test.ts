/** Programs whose root is not the root of their mount namespace, as on a rescue system. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const PACKAGE = fileURLToPath(new URL('../..', import.meta.url));
const PROGRAM = join(PACKAGE, 'test/helpers/exec-in-chroot.ts');

test('a runtime in a chroot shuts its containers in, and what is executed in them', () => {
  const directory = mkdtempSync(join(tmpdir(), 'coracle-chroot-'));
  const script = `mount --rbind / ${directory} && cd ${directory} && exec chroot . "$@"`;
  const command = ['sh', '-c', `cd ${PACKAGE} && exec "$@"`, 'sh', process.execPath];
  const mounts = execFileSync(
    'unshare',
    ['--mount', 'sh', '-c', script, 'sh', ...command, '--import', 'tsx', PROGRAM],
    { encoding: 'utf8' },
  );
  rmdirSync(directory);
  const places = mounts
    .trimEnd()
    .split('\n')
    .map((line) => line.split(' '));
  const roots = places.filter(([, , , , place]) => place === '/');
  assert.equal(roots.length, 1);
  assert.match(roots[0]?.join(' ') ?? '', / - overlay /);
  assert.deepEqual(
    places.filter(([, , , , place]) => place?.startsWith(directory)),
    [],
  );
});
