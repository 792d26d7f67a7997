import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestOf } from '../../src/image/digest.ts';
import type { ImageService } from '../../src/image/images.ts';
import { makeTar, noise, openTestImages, writeLayout } from '../helpers/image-fixture.ts';
import { cutsAt, Seen } from './cuts.ts';
import { DiskModel, writeTree } from './disk-model.ts';
import { ImageHistory } from './image-history.ts';
import { LONG, scratch } from './power-loss.ts';
import { Recorder } from './recording.ts';

const SEEDS = LONG ? [1, 2, 3] : [1];
const RANDOM_FATES = LONG ? 4 : 1;
/** States in which everything is imported anew and looked at, beside those with all names. */
const IMPORTED = LONG ? 3 : 20;

/** Image → the files in its layers, the lowest first. */
const IMAGES: Record<string, readonly string[]> = {
  one: ['base', 'one'],
  two: ['base', 'two'],
  bare: [],
};
const contentOf = (file: string) => noise(file, 9000);

/** The images by name. Their layers must have their files. */
function listWhole(images: ImageService, root: string): Set<string> {
  const names = new Set<string>();
  for (const { id, repoTags } of images.list()) {
    const name = /^test\.local\/(\w+):v$/.exec(repoTags[0] ?? '')?.[1] ?? '';
    names.add(name);
    const layers = images.layersOf(id).toReversed();
    for (const [index, file] of (IMAGES[name] ?? []).entries()) {
      const found = readFileSync(join(root, layers[index] ?? '', file));
      assert.equal(digestOf(found), digestOf(contentOf(file)), `${file} of image ${name}`);
    }
  }
  return names;
}

async function look(root: string, work: (images: ImageService) => Promise<void> | void) {
  const problems: unknown[] = [];
  await using opened = await openTestImages(root, { onProblem: (error) => problems.push(error) });
  await work(opened.images);
  assert.deepEqual([...problems, ...opened.store.problems], []);
}

async function check(root: string, history: ImageHistory, layouts: string | undefined) {
  let listed = new Set<string>();
  await look(root, async (images) => {
    listed = listWhole(images, root);
    assert.equal(history.judge(listed), undefined);
    for (const { id } of images.list()) await images.describe(id);
  });
  const blobs = readdirSync(join(root, 'blobs/sha256'));
  for (const name of blobs) {
    const bytes = readFileSync(join(root, 'blobs/sha256', name));
    assert.equal(digestOf(bytes), `sha256:${name}`, 'what has a name is whole');
  }
  for (const name of history.blobs) assert.ok(blobs.includes(name), `blob ${name} is lost`);
  if (layouts === undefined) return;
  await look(root, async (images) => {
    assert.deepEqual(listWhole(images, root), listed, 'another opening finds the same');
    for (const name of Object.keys(IMAGES)) await images.import(join(layouts, name));
    assert.deepEqual(listWhole(images, root), new Set(Object.keys(IMAGES)));
  });
}

for (const seed of SEEDS) {
  test(`IM-7: images survive loss of power at every write (seed ${seed})`, {
    skip: process.getuid?.() === 0 ? false : 'root is needed',
    timeout: LONG ? 3_600_000 : 120_000,
  }, async (t) => {
    const dir = scratch(t);
    const root = join(dir, 'root');
    const cut = join(dir, 'cut');
    mkdirSync(root);
    for (const [name, files] of Object.entries(IMAGES)) {
      const layers = files.map((file) => makeTar([{ name: file, data: contentOf(file) }]));
      writeLayout(join(dir, name), { name: `test.local/${name}:v`, layers });
    }
    const recorder = new Recorder(dir, root, 'operations');
    const names = Object.keys(IMAGES);
    await recorder.run('image-workload.ts', [`${seed}1`, 'kill', ...names], 1);
    const { operations, exit } = await recorder.run(
      'image-workload.ts',
      [`${seed}2`, 'close', ...names],
      2,
    );
    assert.deepEqual(exit, { code: 0, signal: null });

    const disk = new DiskModel();
    const history = new ImageHistory();
    const seen = new Seen();
    let states = 0;
    for (const [at, operation] of operations.entries()) {
      disk.apply(operation);
      history.see(operation);
      const fates = { seed, random: RANDOM_FATES, single: LONG };
      for (const { name, tree } of cutsAt(disk, at + 1, fates)) {
        if (seen.before(tree, history.promised)) continue;
        states += 1;
        writeTree(cut, tree);
        // Where trees went before their records, an import would take what is left of them.
        const imported = name.endsWith(':names') || states % IMPORTED === 0;
        await check(cut, history, imported ? dir : undefined).catch((error) => {
          throw new Error(`cut ${name} of seed ${seed}: ${error}`, { cause: error });
        });
      }
    }
    t.diagnostic(`${operations.length} moments, ${states} states`);
  });
}
