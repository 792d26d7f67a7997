/** Images mounted into containers as volumes: all of them or a part, read-only. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeTar, type TarMember, writeLayout } from '../../scripts/busybox-image.mjs';
import type { ContainerConfig, DeepPartial, Mount } from '../../src/cri/gen/cri.ts';
import { filesBelow } from '../helpers/image-fixture.ts';
import { runPod, type TestPod } from '../helpers/pod.ts';
import { serverSuite } from '../helpers/server-suite.ts';

const DATA = 'test.local/data:1';
const ONE_LAYER = 'test.local/one-layer:1';

let pod: TestPod;

const server = serverSuite(async () => {
  pod = await runPod(server, await server.importBusybox());
  const below = makeTar([
    directory('models'),
    { name: 'models/en', data: 'english' },
    { name: 'models/gone', data: 'removed above' },
    { name: 'tool', mode: 0o755, data: '#!/bin/sh\necho tool ran\n' },
    { name: 'outside', type: 'symlink', link: '/etc' },
    { name: 'climb', type: 'symlink', link: '../../../../models' },
  ]);
  const above = makeTar([
    { name: 'models/.wh.gone' },
    { name: 'models/de', data: 'deutsch', uid: 7, gid: 8 },
    directory('etc'),
    { name: 'etc/passwd', data: 'of the image' },
  ]);
  await importImage(DATA, [below, above]);
  await importImage(ONE_LAYER, [makeTar([{ name: 'only', data: 'one layer' }])]);
});

const directory = (name: string): TarMember => ({ name: `${name}/`, type: 'dir' });

async function importImage(name: string, layers: Uint8Array[]): Promise<void> {
  const layout = join(server.dir, name.replaceAll(/\W/g, '-'));
  writeLayout(layout, { name, layers });
  await server.importLayout(layout);
}

async function idOf(name: string): Promise<string> {
  const { image } = await server.client.imageStatus({ image: { image: name } });
  assert.ok(image, `${name} is there`);
  return image.id;
}

const volume = (image: string, imageSubPath = ''): DeepPartial<Mount> => ({
  containerPath: '/mnt/image',
  readonly: true,
  image: { image },
  imageSubPath,
});

async function inside(mounts: DeepPartial<Mount>[], more: DeepPartial<ContainerConfig> = {}) {
  const containerId = await pod.run(['sleep', '1000'], { ...more, mounts });
  const run = async (script: string) => {
    const cmd = ['sh', '-c', `(${script}) 2>&1`];
    const { stdout, exitCode } = await server.client.execSync({ containerId, cmd });
    return { out: `${stdout}`.trim(), exitCode };
  };
  return { containerId, run };
}

test('an image of several layers: merged, executable, never writable', async () => {
  const { run, containerId } = await inside([volume(DATA)]);
  assert.equal((await run('ls /mnt/image/models')).out, 'de\nen');
  assert.equal((await run('stat -c %u:%g /mnt/image/models/de')).out, '7:8');
  assert.equal((await run('/mnt/image/tool')).out, 'tool ran');
  for (const change of ['touch /mnt/image/x', 'rm /mnt/image/tool', 'chmod 600 /mnt/image/tool']) {
    assert.match((await run(change)).out, /Read-only file system/, change);
  }
  const line = (await run('grep " /mnt/image " /proc/self/mountinfo')).out;
  assert.match(line, / ro,nosuid,nodev,[a-z]+ - overlay none /);
  await server.client.removeContainer({ containerId });
});

test('the digest is in the status, as PullImage told it', async () => {
  const id = await idOf(DATA);
  const image = { image: id, userSpecifiedImage: DATA, annotations: { a: '1' } };
  const { containerId } = await inside([{ ...volume(id, 'models'), image }]);
  const { status } = await server.client.containerStatus({ containerId });
  const [mount] = status?.mounts ?? [];
  assert.deepEqual(
    [mount?.containerPath, mount?.hostPath, mount?.readonly, mount?.imageSubPath],
    ['/mnt/image', '', true, 'models'],
  );
  assert.deepEqual(
    [mount?.image?.image, mount?.image?.imageRef, mount?.image?.userSpecifiedImage],
    [id, id, DATA],
  );
  assert.deepEqual(mount?.image?.annotations, { a: '1' });
  await server.client.removeContainer({ containerId });
});

test('a part: a directory, a file, and through links that stay inside the image', async () => {
  const cases: [string, string, string][] = [
    ['models', 'cat /mnt/image/en', 'english'],
    ['models/', 'ls /mnt/image', 'de\nen'],
    ['models/de', 'cat /mnt/image', 'deutsch'],
    ['outside/passwd', 'cat /mnt/image', 'of the image'],
    ['climb/en', 'cat /mnt/image', 'english'],
  ];
  for (const [subPath, script, wanted] of cases) {
    const { run, containerId } = await inside([volume(DATA, subPath)]);
    assert.equal((await run(script)).out, wanted, subPath);
    assert.match((await run('touch /mnt/image/x || touch /mnt/image')).out, /Read-only/, subPath);
    // Nothing is left below what is mounted.
    assert.equal((await run('grep -c " /mnt/image " /proc/self/mountinfo')).out, '1');
    await server.client.removeContainer({ containerId });
  }
});

test('an image of one layer, or of none', async () => {
  await importImage('test.local/empty:1', []);
  const { run, containerId } = await inside([
    volume(ONE_LAYER),
    { ...volume('test.local/empty:1'), containerPath: '/empty' },
    { ...volume(ONE_LAYER, 'only'), containerPath: '/file' },
  ]);
  assert.equal((await run('cat /mnt/image/only /file')).out, 'one layerone layer');
  assert.equal((await run('ls -A /empty')).out, '');
  assert.match((await run('touch /mnt/image/x')).out, /Read-only/);
  assert.match((await run('touch /empty/x')).out, /Read-only/);
  await server.client.removeContainer({ containerId });
});

test('many volumes of the same image, and below one another', async () => {
  const { run, containerId } = await inside([
    { ...volume(DATA, 'models'), containerPath: '/v/1' },
    { ...volume(DATA), containerPath: '/v/2' },
    { ...volume(ONE_LAYER), containerPath: '/v/2/models' },
  ]);
  assert.equal((await run('ls /v/1; ls /v/2/models')).out, 'de\nen\nonly');
  await server.client.removeContainer({ containerId });
});

test('what is not there, or cannot be, fails at the creation and leaves nothing', async () => {
  const files = filesBelow(server.root).filter((file) => file.startsWith('containers/'));
  const refused: [DeepPartial<Mount>, RegExp][] = [
    [volume(DATA, 'not-existing'), /5 NOT_FOUND: ImageVolumeMountFailed: .*"not-existing"/],
    [volume(DATA, 'models/gone'), /ImageVolumeMountFailed/],
    [volume(DATA, 'tool/x'), /ImageVolumeMountFailed/],
    [volume(ONE_LAYER, 'none'), /ImageVolumeMountFailed/],
    [volume(DATA, '../etc'), /3 INVALID_ARGUMENT: config\.mounts\[0\]\.image_sub_path/],
    [volume('test.local/absent:1'), /ImageVolumeMountFailed: .*absent:1.* is not present/],
    [{ ...volume(DATA), readonly: false }, /3 INVALID_ARGUMENT: config\.mounts\[0\]\.readonly/],
    [{ ...volume(DATA), hostPath: '/tmp' }, /3 INVALID_ARGUMENT: config\.mounts\[0\]\.host_path/],
  ];
  for (const [mount, message] of refused) {
    await assert.rejects(pod.create(['true'], { mounts: [mount] }), message);
  }
  assert.deepEqual(
    filesBelow(server.root).filter((file) => file.startsWith('containers/')),
    files,
  );
  const { containers } = await server.client.listContainers({});
  assert.equal(containers.length, 0);
});

test('a mounted image is kept for its container, over a restart, and freed with it', async () => {
  const name = 'test.local/held:1';
  await importImage(name, [
    makeTar([{ name: 'a', data: 'a' }]),
    makeTar([{ name: 'held', data: 'still here' }]),
  ]);
  const layers = () =>
    filesBelow(server.root).filter((file) => /^layers\/\d+\/fs\/held$/.test(file));
  const containerId = await pod.create(['sh', '-c', 'cat /mnt/image/held'], {
    mounts: [volume(name)],
    logPath: 'held.log',
  });
  await server.client.removeImage({ image: { image: name } });
  assert.equal(layers().length, 1);
  await server.end('SIGKILL');
  await server.launch();
  const held = layers();
  assert.equal(held.length, 1);
  await server.client.startContainer({ containerId });
  const end = Date.now() + 5000;
  const log = join(pod.logDir, 'held.log');
  while (!readFileSync(log, 'utf8').includes('still here')) {
    assert.ok(Date.now() < end, 'the image is read');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const { status } = await server.client.containerStatus({ containerId });
  assert.match(status?.mounts[0]?.image?.imageRef ?? '', /^sha256:/);
  await server.client.removeContainer({ containerId });
  while (held.some((file) => existsSync(join(server.root, file)))) {
    assert.ok(Date.now() < end, 'the layers are freed');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
});
