/** The validation suite's images under the suite's names, which only mirrors can serve here. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { Runtime } from '../../src/index.ts';
import { defaultOptions } from '../../src/runtime/open.ts';
import {
  IMAGE_SPEC_IMAGES,
  mirrorCritestRegistries,
  pushCritestImages,
} from '../helpers/critest-images.ts';
import { scratchDirectory } from '../helpers/image-fixture.ts';
import { startRegistry } from '../helpers/registry.ts';

const GCR = 'gcr.io/k8s-staging-cri-tools';

test('the images that the suite pulls are there by its names, with what it looks at', async () => {
  await using dir = await scratchDirectory();
  await using registry = await startRegistry(join(dir.path, 'registry'));
  await pushCritestImages(registry.url, dir.path, IMAGE_SPEC_IMAGES);
  mirrorCritestRegistries(join(dir.path, 'certs.d'), registry.url);
  await using runtime = await Runtime.open({
    root: join(dir.path, 'root'),
    state: join(dir.path, 'state'),
    images: { ...defaultOptions.images, registryConfigDirs: [join(dir.path, 'certs.d')] },
  });
  const { images } = runtime;
  const pull = async (...names: string[]) => {
    const pulled = await Promise.all(names.map((name) => images.pull(name)));
    return new Set(pulled.map(({ imageRef }) => imageRef)).size;
  };

  await pull('registry.k8s.io/e2e-test-images/busybox:1.29-2');
  assert.equal(await pull('registry.k8s.io/pause:3.9', 'k8s.gcr.io/pause:3.9'), 1);
  assert.equal(await pull(...['1', '2', '3'].map((tag) => `${GCR}/test-image-tags:${tag}`)), 1);
  assert.equal(await pull(...['1', '2', '3'].map((name) => `${GCR}/test-image-${name}`)), 3);
  const userOf = async (name: string) => {
    const image = `${GCR}/test-image-user-${name}`;
    await pull(image);
    const { uid, username } = images.status(image) ?? {};
    return [uid, username];
  };
  assert.deepEqual(
    await Promise.all(['uid', 'username', 'uid-group', 'username-group'].map(userOf)),
    [
      [1002, ''],
      [undefined, 'www-data'],
      [1003, ''],
      [undefined, 'www-data'],
    ],
  );
});
