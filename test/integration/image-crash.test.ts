import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { digestOf } from '../../src/image/digest.ts';
import {
  diskUsage,
  emptyRoot,
  filesBelow,
  makeTar,
  noise,
  openTestImages,
  pushLayout,
  scratchDirectory,
  writeLayout,
} from '../helpers/image-fixture.ts';
import { startRegistry } from '../helpers/registry.ts';

const KILLS = 24;
const CHILD = join(import.meta.dirname, '../helpers/image-puller.ts');

/** Runs the program over `root` and kills it so many ms after it began to work. */
async function killAfter(ms: number, root: string, names: string[]): Promise<void> {
  const child = spawn(process.execPath, ['--import', 'tsx', CHILD, root, ...names], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const gone = once(child, 'exit');
  await Promise.race([once(child.stdout, 'data'), gone]);
  await sleep(ms);
  child.kill('SIGKILL');
  const [, signal] = await gone;
  assert.equal(signal, 'SIGKILL', 'it was still at work');
}

test('a kill at any moment of pulls and removals shows nothing half made and loses nothing', {
  timeout: 300_000,
}, async () => {
  await using scratch = await scratchDirectory();
  await using registry = await startRegistry(join(scratch.path, 'registry'));
  const root = join(scratch.path, 'root');
  const files = new Map<string, string[]>();
  for (const name of ['x', 'y', 'z']) {
    const layers = ['crash-base', `crash-${name === 'z' ? 'x' : name}`, `crash-own-${name}`];
    const layout = join(scratch.path, name);
    const tars = layers.map((file) => makeTar([{ name: file, data: noise(file, 300_000) }]));
    writeLayout(layout, { name, layers: tars });
    await pushLayout(registry.url, layout, `crash-${name}`, 'v');
    files.set(`${registry.host}/crash-${name}:v`, layers);
  }
  const names = [...files.keys()];
  const met = { images: 0, remnants: 0 };
  for (let kill = 0; kill < KILLS; kill += 1) {
    await killAfter((kill * 37) % 400, root, names);
    await using opened = await openTestImages(root, {
      onProblem: (problem) => assert.fail(String(problem)),
    });
    const { images } = opened;
    for (const { id, repoTags, repoDigests } of images.list()) {
      met.images += 1;
      assert.equal(repoDigests.length, 1);
      const layers = files.get(repoTags[0] ?? '') ?? [];
      assert.equal(layers.length, 3);
      for (const [index, layer] of images.layersOf(id).toReversed().entries()) {
        const file = layers[index] ?? '';
        const bytes = readFileSync(join(root, layer, file));
        assert.equal(digestOf(bytes), digestOf(noise(file, 300_000)));
      }
    }
    const { usedBytes, inodesUsed } = images.fsInfo();
    assert.deepEqual({ bytes: usedBytes, inodes: inodesUsed }, diskUsage(root));
    const kept = readdirSync(join(root, 'ingest'));
    met.remnants += kept.length;
    for (const name of kept) assert.match(name, /^[0-9a-f]{64}$/, 'the beginning of a blob');
    if (kill % 6 === 5) {
      // Whatever is left, pulls go on with it, and removals leave nothing.
      for (const name of names) await images.pull(name);
      assert.equal(images.list().length, 3);
      for (const name of names) await images.remove(name);
      assert.deepEqual(filesBelow(root), emptyRoot);
    }
  }
  assert.ok(met.images > 0 && met.remnants > 0, `met ${JSON.stringify(met)}`);
});
