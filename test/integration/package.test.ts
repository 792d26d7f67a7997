/** What `npm pack` makes installs into an empty project and runs there. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { makeBusyboxLayout } from '../../scripts/busybox-image.mjs';

const PACKAGE = fileURLToPath(new URL('../..', import.meta.url));
const dir = mkdtempSync(join(tmpdir(), 'coracle-package-'));

after(() => rmSync(dir, { recursive: true, force: true }));

function run(cwd: string, file: string, args: string[]): string {
  const { status, stdout, stderr } = spawnSync(file, args, { cwd, encoding: 'utf8' });
  assert.equal(status, 0, `${file} ${args.join(' ')}: ${stdout}${stderr}`);
  return stdout;
}

test('the packed package runs the embedding example in an empty project', async () => {
  run(PACKAGE, 'npm', ['pack', '--ignore-scripts', '--pack-destination', dir]);
  const project = join(dir, 'project');
  run(dir, 'mkdir', [project]);
  writeFileSync(join(project, 'package.json'), '{ "name": "empty", "private": true }');
  run(project, 'npm', [
    'install',
    '--no-audit',
    '--no-fund',
    '--prefer-offline',
    `${dir}/coracle-0.1.0.tgz`,
  ]);
  await makeBusyboxLayout(join(dir, 'layout'), { name: 'test.local/busybox:1' });
  copyFileSync(join(PACKAGE, 'examples/embed.mjs'), join(project, 'embed.mjs'));
  const output = run(project, process.execPath, ['embed.mjs', join(dir, 'layout')]);
  assert.match(output, /^hello from a container$/m);
  assert.match(output, /^exit code 0$/m);
});
