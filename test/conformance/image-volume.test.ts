/** Images as volumes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { status as Code } from '@grpc/grpc-js';
import type { DeepPartial, Mount } from '../../src/cri/gen/cri.ts';
import { conformanceSuite } from '../helpers/conformance.ts';

const suite = conformanceSuite();

async function withVolume(more: DeepPartial<Mount> = {}) {
  const pod = await suite.pod();
  const { image } = await suite.client.imageStatus({ image: { image: suite.image } });
  const imageRef = image?.id ?? '';
  const mount = {
    containerPath: '/volume',
    readonly: true,
    image: { image: imageRef, userSpecifiedImage: suite.image },
    ...more,
  };
  return { imageRef, containerId: await pod.create({ mounts: [mount] }) };
}

test('the status of a container tells which image a volume is', async () => {
  const { imageRef, containerId } = await withVolume();
  const [mount] = (await suite.status(containerId)).mounts;
  assert.equal(mount?.containerPath, '/volume');
  assert.equal(mount?.image?.imageRef, imageRef);
});

test('the content is there, can be executed and not written', async () => {
  const { containerId } = await withVolume();
  await suite.client.startContainer({ containerId });
  assert.equal(await suite.shell(containerId, '/volume/bin/ls /volume/etc'), 'group\npasswd');
  const { stderr } = await suite.exec(containerId, 'touch', '/volume/file');
  assert.match(stderr, /Read-only file system/);
});

test('a sub-path is all there is of the image', async () => {
  const { containerId } = await withVolume({ imageSubPath: 'etc' });
  await suite.client.startContainer({ containerId });
  assert.equal(await suite.shell(containerId, 'ls /volume'), 'group\npasswd');
});

test('a volume that could be written, or has no such sub-path, is refused', async () => {
  await assert.rejects(withVolume({ readonly: false }), { code: Code.INVALID_ARGUMENT });
  await assert.rejects(withVolume({ imageSubPath: 'not-existing' }), {
    details: /ImageVolumeMountFailed/,
  });
});
