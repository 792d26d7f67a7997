import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { VERSION } from '../../src/observe/version.ts';

const root = join(import.meta.dirname, '../..');
const node = async (...args: string[]) =>
  (await promisify(execFile)(process.execPath, args, { cwd: root })).stdout;

/** In the checkout, as deep as dist/cli: packages and the addon are found from there. */
async function bundle(t: TestContext): Promise<string> {
  await mkdir(join(root, 'build-dev'), { recursive: true });
  const directory = await mkdtemp(join(root, 'build-dev/bundle-'));
  t.after(() => rm(directory, { recursive: true }));
  await node('scripts/bundle.mjs', directory);
  return directory;
}

test('the bundled command line is whole: it imports packages, and no file but its own', async (t) => {
  const directory = await bundle(t);
  const scripts = readdirSync(directory).filter((name) => name.endsWith('.js'));
  assert.ok(scripts.includes('main.js'));
  assert.ok(scripts.length < 30, `${scripts.length} files`);
  for (const name of scripts) {
    const text = readFileSync(join(directory, name), 'utf8');
    const imports = [...text.matchAll(/(?:^import |^} from |\bimport\()"(\.[^"]+)"/gm)];
    for (const [, path = ''] of imports) {
      assert.ok(scripts.includes(path.replace('./', '')), `${name} imports ${path}`);
    }
  }
  // As it is installed: by its first line, with Node's flags.
  const { stdout } = await promisify(execFile)(join(directory, 'main.js'), ['--version']);
  assert.equal(stdout, `${VERSION}\n`);
  // Finds addon and monitor by its own place.
  assert.match(await node(join(directory, 'main.js'), 'doctor').catch(outputOf), /^CHECK +STATE/);
  // A second one leaves none of the first one's chunks that it does not have itself.
  await node('scripts/bundle.mjs', directory);
  assert.deepEqual(
    readdirSync(directory).filter((name) => name.endsWith('.js')),
    scripts,
  );
});

/** `doctor` fails where something that is needed is missing. */
function outputOf(error: { stdout: string }): string {
  return error.stdout;
}
