import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { proxy } from '../helpers/http-server.ts';
import {
  makeTar,
  noise,
  openTestImages,
  scratchDirectory,
  writeLayout,
} from '../helpers/image-fixture.ts';
import { serveLayout } from '../helpers/layout-registry.ts';

/** Blobs that are being sent, beside the configuration. */
const blobsOf = (log: readonly string[]) => log.filter((line) => /^GET .*\/blobs\//.test(line));

test('IM-6: three layers of an image come at once, and as many of another', async () => {
  await using scratch = await scratchDirectory();
  const layouts = [1, 2].map((image) => {
    const layout = join(scratch.path, `layout-${image}`);
    const layers = Array.from({ length: 6 }, (_, n) =>
      makeTar([{ name: `file-${n}`, data: noise(`${image}-${n}`, 20_000) }]),
    );
    writeLayout(layout, { name: 'parallel', layers, config: { Labels: { image: `${image}` } } });
    return layout;
  });
  await using first = await serveLayout(layouts[0] ?? '');
  await using second = await serveLayout(layouts[1] ?? '');
  await using firstLog = await proxy({ to: first.host });
  await using secondLog = await proxy({ to: second.host });
  await using opened = await openTestImages(join(scratch.path, 'root'));
  const stop = new AbortController();
  const pulls = [firstLog, secondLog].map(({ host }) =>
    opened.images.pull(`${host}/parallel:v`, { signal: stop.signal }),
  );
  for (const registry of [first, second]) registry.stalled = true;
  const counts = () => [firstLog, secondLog].map(({ log }) => blobsOf(log).length);
  // The configuration and three layers; the others wait for them.
  const end = Date.now() + 5000;
  while (counts().some((count) => count < 4) && Date.now() < end) await sleep(10);
  await sleep(200);
  assert.deepEqual(counts(), [4, 4]);
  stop.abort();
  await Promise.allSettled(pulls);
});
