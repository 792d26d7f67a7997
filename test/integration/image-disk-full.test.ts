import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { digestOf } from '../../src/image/digest.ts';
import {
  filesBelow,
  makeTar,
  noise,
  openTestImages,
  pushLayout,
  scratchDirectory,
  writeLayout,
} from '../helpers/image-fixture.ts';
import { startRegistry, type TestRegistry } from '../helpers/registry.ts';

const skip = process.getuid?.() === 0 ? false : 'mounting a tmpfs needs root';
const LAYERS: [string, number][] = [
  ['full-1', 1_500_000],
  ['full-2', 2_500_000],
];

let scratch: Awaited<ReturnType<typeof scratchDirectory>>;
let registry: TestRegistry;
let image: string;

before(async () => {
  scratch = await scratchDirectory();
  registry = await startRegistry(join(scratch.path, 'registry'));
  const layout = join(scratch.path, 'layout');
  const layers = LAYERS.map(([name, size]) => makeTar([{ name, data: noise(name, size) }]));
  writeLayout(layout, { name: 'full', layers });
  await pushLayout(registry.url, layout, 'full', 'v');
  image = `${registry.host}/full:v`;
});

after(async () => {
  await registry?.[Symbol.asyncDispose]();
  await scratch?.[Symbol.asyncDispose]();
});

/** A file system of so many KiB, and how to make it larger. */
function smallDisk(t: TestContext, kib: number): { path: string; grow(kib: number): void } {
  const path = mkdtempSync(join(tmpdir(), 'coracle-disk-'));
  t.after(() => {
    spawnSync('umount', [path]);
    rmdirSync(path);
  });
  const mount = (...options: string[]) => {
    const done = spawnSync('mount', ['-t', 'tmpfs', '-o', options.join(), 'coracle-test', path]);
    assert.equal(done.status, 0, String(done.stderr));
  };
  mount(`size=${kib}k`);
  return { path, grow: (to) => mount('remount', `size=${to}k`) };
}

/** Takes all space that is left; returns how to give it back. */
function fill(disk: string): () => void {
  const path = join(disk, 'filler');
  const fd = openSync(path, 'w');
  for (const size of [65_536, 4096, 1]) {
    try {
      for (;;) writeSync(fd, Buffer.alloc(size, 1));
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
    }
  }
  closeSync(fd);
  return () => rmSync(path);
}

/** Image files but the two directories that are always there. */
const remains = (root: string) =>
  filesBelow(root).filter((name) => !name.endsWith('/') && name !== 'filler');

// From too small for the first blob to too small for the last layer: the whole takes 8.3 MB.
for (const kib of [1000, 2500, 4500, 6000, 7500]) {
  test(`a disk that fills in the middle of a pull: ${kib} KiB`, { skip }, async (t) => {
    const disk = smallDisk(t, kib);
    await using opened = await openTestImages(disk.path);
    const { images } = opened;
    for (let round = 0; round < 2; round += 1) {
      await assert.rejects(images.pull(image), (error: { kind?: string; reason?: string }) => {
        assert.deepEqual([error.kind, error.reason], ['ResourceExhausted', 'DiskFull']);
        return true;
      });
      assert.deepEqual(images.list(), []);
      assert.deepEqual(remains(disk.path), [], 'the space is given back');
      assert.equal(images.fsInfo().usedBytes, 0);
    }
    disk.grow(32_000);
    const { imageRef } = await images.pull(image);
    const layers = images.layersOf(imageRef).toReversed();
    for (const [index, [name, size]] of LAYERS.entries()) {
      const bytes = readFileSync(join(disk.path, layers[index] ?? '', name));
      assert.equal(digestOf(bytes), digestOf(noise(name, size)));
    }
  });
}

test('images are removed from a full disk, also one that a container holds', {
  skip,
}, async (t) => {
  const disk = smallDisk(t, 32_000);
  const other = join(scratch.path, 'other');
  writeLayout(other, { name: 'other', layers: [makeTar([{ name: 'x', data: noise('x', 9000) }])] });
  {
    await using opened = await openTestImages(disk.path);
    const { images } = opened;
    const { imageRef } = await images.pull(image);
    const [name = ''] = await images.import(other);
    const held = images.status(name)?.id ?? '';
    await images.recovered();
    images.hold(held, 'c');
    const empty = fill(disk.path);
    await assert.rejects(images.import(other), { reason: 'DiskFull' });
    await images.remove(held);
    assert.equal(images.status(name), undefined);
    assert.equal(images.layersOf(held).length, 1, 'its layers stay with the container');
    await images.remove(imageRef);
    assert.deepEqual(images.list(), []);
    images.release(held, 'c');
    while (images.fsInfo().usedBytes > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    empty();
  }
  await using again = await openTestImages(disk.path);
  assert.deepEqual(again.images.list(), []);
  await again.images.pull(image);
});
