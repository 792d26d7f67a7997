/**
 * A program for test/fault to record: imports and removes images, and fetches a blob in pieces.
 * Arguments: root, marks, seed, how it ends (close, kill), names of images, each of which is a
 * layout beside the root.
 */
import { openSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ContentStore } from '../../src/image/content-store.ts';
import { digestOf, hexOf } from '../../src/image/digest.ts';
import { download } from '../../src/image/download.ts';
import { noise, openTestImages } from '../helpers/image-fixture.ts';
import { broken, ScriptedSource } from '../helpers/image-parts.ts';
import { seeded } from './disk-model.ts';
import type { ImageMark } from './image-history.ts';

const [root = '', marks = '', seed = '', end = '', ...names] = process.argv.slice(2);
const marksFile = openSync(marks, 'a', 0o600);
const mark = (entry: ImageMark) => writeSync(marksFile, JSON.stringify(entry));
const random = seeded(Number(seed));

{
  await using opened = await openTestImages(root);
  const { images } = opened;
  const bring = async (name: string) => {
    mark({ begun: 'import', name });
    await images.import(join(dirname(root), name));
    mark({ done: 'import', name });
  };
  const remove = async (name: string) => {
    mark({ begun: 'remove', name });
    await images.remove(`test.local/${name}:v`);
    mark({ done: 'remove', name });
  };
  // The last has no layer, so that no syncfs(2) covers what is missing for it.
  for (const name of names.toReversed()) await bring(name);
  // Directories of layers change their owners, and two images that share one come and go.
  const [first = '', second = ''] = names;
  await remove(first);
  await remove(second);
  await bring(second);
  for (let step = 0; step < 2; step += 1) {
    const name = names[Math.floor(random() * names.length)] ?? '';
    await (random() < 0.5 ? remove(name) : bring(name));
  }
  if (end === 'kill') {
    void remove(first);
    await bring(second);
    process.kill(process.pid, 'SIGKILL');
  }
}

const content = await ContentStore.open(root);
const bytes = noise(`blob ${seed}`, 40_000);
const blob = { digest: digestOf(bytes), size: bytes.length, mediaType: '' };
const options = {
  what: 'the blob',
  signal: new AbortController().signal,
  onHere: () => {},
  onReceived: () => {},
};
const lines = Array.from({ length: 9 }, (_, n) => ({ to: (n + 1) * 4000, error: broken() }));
await download(content, new ScriptedSource(bytes, ...lines), blob, options).catch(() => {});
await download(content, new ScriptedSource(bytes, {}), blob, options);
mark({ blob: hexOf(blob.digest) });
