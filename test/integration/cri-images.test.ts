/** Images over CRI: from a real registry to a container, and away again. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeBusyboxLayout } from '../../scripts/busybox-image.mjs';
import { LayerState } from '../../src/cri/gen/coracle.ts';
import { pushLayout } from '../helpers/image-fixture.ts';
import { exited, runPod } from '../helpers/pod.ts';
import { startRegistry, type TestRegistry } from '../helpers/registry.ts';
import { serverSuite } from '../helpers/server-suite.ts';

let registry: TestRegistry;

const server = serverSuite(prepare, () => registry[Symbol.asyncDispose]());

async function prepare(): Promise<void> {
  registry = await startRegistry(join(server.dir, 'registry'));
  const layout = join(server.dir, 'pushed');
  await makeBusyboxLayout(layout, { name: 'unused.local/busybox:1' });
  await pushLayout(registry.url, layout, 'team/busybox', '1.0');
  await pushLayout(registry.url, layout, 'team/busybox', '2.0');
}

test('IM-1, IM-11: pulled by tag, an image has one id everywhere, runs, and is gone when removed', async () => {
  const { client } = server;
  const name = `${registry.host}/team/busybox:1.0`;
  assert.equal((await client.imageStatus({ image: { image: name } })).image, undefined);
  const { imageRef } = await client.pullImage({ image: { image: name } });
  const { images } = await client.listImages({});
  assert.deepEqual(
    images.map(({ id, repoTags }) => ({ id, repoTags })),
    [{ id: imageRef, repoTags: [name] }],
  );
  const digest = images[0]?.repoDigests[0] ?? '';
  assert.match(digest, /team\/busybox@sha256:[0-9a-f]{64}$/);
  for (const reference of [name, digest, imageRef, imageRef.slice('sha256:'.length, 20)]) {
    const { image } = await client.imageStatus({ image: { image: reference } });
    assert.equal(image?.id, imageRef, reference);
  }

  const pod = await runPod(server, name);
  const containerId = await pod.run(['true']);
  const status = await exited(server, containerId);
  assert.equal(status.exitCode, 0);
  assert.equal(status.imageId, imageRef);
  assert.equal(status.imageRef, digest);

  const { imageFilesystems } = await client.imageFsInfo({});
  assert.ok((imageFilesystems[0]?.usedBytes?.value ?? 0n) > 1_000_000n);
  await client.removePodSandbox({ podSandboxId: pod.id });
  await client.removeImage({ image: { image: digest } });
  assert.deepEqual((await client.listImages({})).images, []);
  assert.deepEqual(readdirSync(join(server.root, 'blobs', 'sha256')), []);
  await client.removeImage({ image: { image: digest } });
});

test('an image is named as its user named it, by a digest and by its id', async () => {
  const { client } = server;
  const second = `${registry.host}/team/busybox:2.0`;
  await client.pullImage({ image: { image: `${registry.host}/team/busybox:1.0` } });
  const { imageRef: id } = await client.pullImage({ image: { image: second } });
  const pod = await runPod(server, id);
  const image = { image: id, userSpecifiedImage: second, annotations: { team: 'a' } };
  const containerId = await pod.run(['true'], { image });
  const { status } = await client.containerStatus({ containerId });
  const { image: listed } = (await client.listContainers({ filter: { id: containerId } }))
    .containers[0] ?? { image: undefined };
  const { image: known, info } = await client.imageStatus({ image: { image: id }, verbose: true });
  assert.deepEqual(
    [status?.image?.image, status?.image?.userSpecifiedImage, status?.image?.annotations.team],
    [second, second, 'a'],
  );
  assert.deepEqual([listed?.image, listed?.userSpecifiedImage], [id, second]);
  assert.deepEqual([status?.imageId, status?.imageRef], [id, known?.repoDigests[0]]);
  const { chainID, imageSpec } = JSON.parse(info.info ?? '{}');
  assert.deepEqual(imageSpec.rootfs.diff_ids, [chainID]);
  assert.deepEqual([imageSpec.os, imageSpec.config.Cmd], ['linux', ['sh']]);

  const found = async (name: string) =>
    (await client.listImages({ filter: { image: { image: name } } })).images.map((each) => each.id);
  for (const name of [`${registry.host}/team/busybox`, id, known?.repoDigests[0] ?? '']) {
    assert.deepEqual(await found(name), [id], name);
  }
  assert.deepEqual(await found(`${registry.host}/team`), []);
  const other = { image: id, runtimeHandler: 'gvisor' };
  await assert.rejects(client.imageStatus({ image: other }), { code: 3 });
  await client.removePodSandbox({ podSandboxId: pod.id });
  await client.removeImage({ image: { image: id } });
});

test('the admin service pulls with progress, which ends with the id', async () => {
  const { client } = server;
  const image = { image: `${registry.host}/team/busybox:1.0` };
  const messages = [];
  for await (const message of client.pullWithProgress({ image })) messages.push(message);
  const last = messages.pop();
  assert.match(last?.imageRef ?? '', /^sha256:/);
  assert.ok(messages.every(({ progress, imageRef }) => progress && imageRef === ''));
  const progress = messages.at(-1)?.progress;
  assert.deepEqual(
    progress?.layers.map(({ state }) => state),
    [LayerState.LAYER_DONE],
  );
  assert.equal(progress?.bytesDone, progress?.bytes);
  const missing = { image: `${registry.host}/team/nosuch:1` };
  await assert.rejects(client.pullWithProgress({ image: missing })[Symbol.asyncIterator]().next(), {
    code: 5,
  });
  await client.removeImage({ image });
});

test('twenty pulls of one image at once are one', async () => {
  const { client } = server;
  const name = `${registry.host}/team/busybox:1.0`;
  const pulls = Array.from({ length: 20 }, () => client.pullImage({ image: { image: name } }));
  const references = new Set((await Promise.all(pulls)).map(({ imageRef }) => imageRef));
  assert.equal(references.size, 1);
  await client.removeImage({ image: { image: name } });
});

test('what is not there, and what is no reference, is told apart', async () => {
  const { client } = server;
  const pull = (image: string) => client.pullImage({ image: { image } });
  await assert.rejects(pull(`${registry.host}/team/nosuch:1`), { code: 5 });
  await assert.rejects(pull('UPPER/Case'), { code: 3 });
  await assert.rejects(pull('127.0.0.1:1/team/busybox:1'), /127\.0\.0\.1:1/);
  const pod = await runPod(server, 'unused');
  await assert.rejects(pod.create(['true']), { code: 5 });
  await client.removePodSandbox({ podSandboxId: pod.id });
});
