import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

const root = join(import.meta.dirname, '../..');

test('a server that starts loads neither undici nor ws: they are memory and time of those that need them', async () => {
  // In a process of its own: the tests of this one may have loaded anything.
  const program = `
    import { createRequire } from 'node:module';
    await import('./src/cli/serve.ts');
    const loaded = Object.keys(createRequire(import.meta.url).cache);
    console.log(JSON.stringify(loaded.map((file) => file.replace(/.*\\/node_modules\\//, ''))));
  `;
  const args = ['--import', 'tsx', '--input-type=module', '--eval', program];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root });
  const packages = new Set((JSON.parse(stdout) as string[]).map((file) => file.split('/')[0]));
  assert.ok(packages.has('@grpc'), 'it would be seen');
  assert.ok(!packages.has('undici'));
  assert.ok(!packages.has('ws'));
});
