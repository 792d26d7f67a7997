/** What `npm pack` makes is put into an empty project, built there as npm does it, and run. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
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

/** The dependencies that an installation gets; copied, as tests have no network. */
function copyDependencies(project: string): void {
  type Entry = { dev?: boolean; devOptional?: boolean; optional?: boolean };
  const lock = JSON.parse(readFileSync(join(PACKAGE, 'package-lock.json'), 'utf8'));
  for (const [path, entry] of Object.entries(lock.packages as Record<string, Entry>)) {
    if (path === '' || entry.dev || entry.devOptional) continue;
    if (entry.optional && !existsSync(join(PACKAGE, path))) continue; // for another platform
    cpSync(join(PACKAGE, path), join(project, path), { recursive: true });
  }
}

test('the packed package runs the embedding example in an empty project', async () => {
  run(PACKAGE, 'npm', ['run', 'build']);
  run(PACKAGE, 'npm', ['pack', '--ignore-scripts', '--pack-destination', dir]);
  const project = join(dir, 'project');
  const installed = join(project, 'node_modules/coracle');
  mkdirSync(installed, { recursive: true });
  writeFileSync(
    join(project, 'package.json'),
    '{ "private": true, "dependencies": { "coracle": "0.1.0" } }',
  );
  copyDependencies(project);
  run(installed, 'tar', ['xzf', join(dir, 'coracle-0.1.0.tgz'), '--strip-components=1']);
  run(project, 'npm', ['rebuild', 'coracle']);
  await makeBusyboxLayout(join(dir, 'layout'), { name: 'test.local/busybox:1' });
  copyFileSync(join(PACKAGE, 'examples/embed.mjs'), join(project, 'embed.mjs'));
  const output = run(project, process.execPath, ['embed.mjs', join(dir, 'layout')]);
  assert.match(output, /^hello from a container$/m);
  assert.match(output, /^exit code 0$/m);
});
