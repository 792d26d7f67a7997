/** One image has one identifier, wherever it is named. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeBusyboxLayout } from '../../scripts/busybox-image.mjs';
import { conformanceSuite } from '../helpers/conformance.ts';

const suite = conformanceSuite();

async function importAs(name: string): Promise<void> {
  const path = join(suite.server.dir, name.replaceAll(/\W/g, '-'));
  makeBusyboxLayout(path, { name });
  await suite.client.importImage({ path });
}

const imageOf = async (image: string) =>
  (await suite.client.imageStatus({ image: { image } })).image;

test('status and list of image and container give the same identifier, by which it can be named', async () => {
  const id = (await imageOf(suite.image))?.id ?? '';
  assert.match(id, /^sha256:[0-9a-f]{64}$/);
  assert.equal((await imageOf(id))?.id, id);
  const pod = await suite.pod();
  const containerId = await pod.run({ image: { image: id, userSpecifiedImage: suite.image } });
  const status = await suite.status(containerId);
  assert.equal(status.imageId, id);
  assert.equal(status.image?.userSpecifiedImage, suite.image);
  const { containers } = await suite.client.listContainers({ filter: { id: containerId } });
  assert.deepEqual(
    containers.map(({ imageId }) => imageId),
    [id],
  );
});

test('the same content under the names of two registries is one image', async () => {
  const names = ['one.local/pause:3.9', 'two.local/pause:3.9'] as const;
  for (const name of names) await importAs(name);
  const id = (await imageOf(suite.image))?.id;
  for (const name of names) assert.equal((await imageOf(name))?.id, id);
  const { images } = await suite.client.listImages({});
  const [image] = images.filter((each) => each.id === id);
  assert.deepEqual(image?.repoTags.toSorted(), [...names, suite.image].toSorted());
});

test('after an image is removed neither status nor list shows it, however many remove it (IM-11)', async () => {
  const name = 'gone.local/busybox:1';
  const path = join(suite.server.dir, 'gone');
  makeBusyboxLayout(path, { name, env: ['OTHER=1'] });
  await suite.client.importImage({ path });
  const id = (await imageOf(name))?.id;
  await Promise.all([1, 2, 3].map(() => suite.client.removeImage({ image: { image: name } })));
  assert.equal(await imageOf(name), undefined);
  const { images } = await suite.client.listImages({});
  assert.ok(images.every((each) => each.id !== id));
});
