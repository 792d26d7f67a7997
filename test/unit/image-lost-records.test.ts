import assert from 'node:assert/strict';
import { existsSync, mkdirSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestOf } from '../../src/image/digest.ts';
import { imageMetadata } from '../../src/image/image-store.ts';
import { openImages } from '../../src/image/open-images.ts';
import type { Addon } from '../../src/native/types.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import { FakeNative } from '../helpers/image-parts.ts';
import { FaultyBackend, scratch } from '../helpers/store.ts';

const WEEK_AGO = Date.now() / 1000 - 7 * 24 * 3600;

test('RC-4: what a container runs on stays where the records of its image are lost', async (t) => {
  const root = scratch(t);
  const backend = new FaultyBackend();
  const { layers } = imageMetadata(new MemoryStore(backend));
  // Directories 1 and 2 have records, 3 and 4 have lost theirs; no image is known any more.
  for (const directory of [1, 2, 3, 4]) {
    mkdirSync(join(root, 'layers', String(directory), 'fs'), { recursive: true });
    utimesSync(join(root, 'layers', String(directory)), WEEK_AGO, WEEK_AGO);
    const chainId = digestOf(`chain ${directory}`);
    const record = { chainId, diffId: chainId, parent: null, directory, size: 1, inodes: 1 };
    if (directory < 3) await layers.put(chainId, record);
  }
  const open = (usedLayers: string[]) =>
    openImages({
      root,
      store: new MemoryStore(backend),
      native: new FakeNative() as unknown as Addon,
      usedLayers,
      onProblem: (problem) => assert.fail(String(problem)),
    });
  const there = () => [1, 2, 3, 4].filter((n) => existsSync(join(root, 'layers', String(n), 'fs')));

  const images = await open(['layers/3/fs', 'layers/1/fs']);
  await images.recovered();
  await images.remove('docker.io/library/whatever:latest');
  assert.deepEqual(there(), [1, 3]);
  await images.close();

  // Its container is gone, and nobody needs them.
  const later = await open([]);
  await later.recovered();
  assert.deepEqual(there(), []);
  await later.close();
});
