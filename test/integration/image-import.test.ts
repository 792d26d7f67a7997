import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import {
  busyboxTree,
  emptyRoot,
  filesBelow,
  makeBusyboxLayout,
  makeTar,
  openTestImages,
  scratchDirectory,
  sha256,
  tarLayout,
  writeLayout,
} from '../helpers/image-fixture.ts';

const NAME = 'docker.io/library/busybox:latest';

test('a layout comes in as directory, tar and gzipped tar, with one id', async (t) => {
  await using dir = await scratchDirectory();
  const layout = join(dir.path, 'layout');
  const made = makeBusyboxLayout(layout, { name: 'busybox', user: 'app' });
  const tar = join(dir.path, 'layout.tar');
  tarLayout(layout, tar);
  writeFileSync(`${tar}.gz`, gzipSync(readFileSync(tar)));
  for (const [index, path] of [layout, tar, `${tar}.gz`].entries()) {
    await t.test(path, async () => {
      const root = join(dir.path, `root${index}`);
      await using opened = await openTestImages(root);
      const { images } = opened;
      assert.deepEqual(await images.import(path), [NAME]);
      const status = images.status('busybox');
      assert.equal(status?.id, made.configDigest);
      assert.deepEqual(status?.repoTags, [NAME]);
      assert.deepEqual(status?.repoDigests, [`docker.io/library/busybox@${made.manifestDigest}`]);
      assert.equal(status?.username, 'app');
      const [layer = ''] = images.layersOf(made.configDigest);
      assert.equal(readFileSync(join(root, layer, 'etc/passwd'), 'utf8').split('\n').length, 4);
      assert.equal(lstatSync(join(root, layer, 'tmp')).mode & 0o7777, 0o1777);
      assert.equal(lstatSync(join(root, layer, 'home/app')).uid, 1000);
      assert.deepEqual(filesBelow(join(root, 'ingest')), []);
      await images.remove('busybox');
      assert.deepEqual(filesBelow(root), emptyRoot);
    });
  }
});

function dockerArchive(dir: string, tags: string[] | null, layers: Buffer[]): string {
  const config = Buffer.from(
    JSON.stringify({
      os: 'linux',
      config: { Cmd: ['sh'], User: '1000:1000' },
      rootfs: { type: 'layers', diff_ids: layers.map(sha256) },
    }),
  );
  const file = join(dir, 'saved.tar');
  const name = `${sha256(config).slice(7)}.json`;
  const members = layers.map((data, index) => ({ name: `${index}/layer.tar`, data }));
  const manifest = [{ Config: name, RepoTags: tags, Layers: members.map((m) => m.name) }];
  writeFileSync(
    file,
    makeTar([
      ...members,
      { name, data: config },
      { name: 'again/', type: 'dir' },
      { name: 'again/layer.tar', type: 'symlink', link: '../0/layer.tar' },
      { name: 'manifest.json', data: JSON.stringify(manifest) },
    ]),
  );
  return file;
}

test('a docker save archive is imported, under its tags or a given one', async () => {
  await using dir = await scratchDirectory();
  await using opened = await openTestImages(join(dir.path, 'root'));
  const { images } = opened;
  const layers = [makeTar(busyboxTree()), makeTar([{ name: 'etc/.wh.group' }, { name: 'top' }])];
  const saved = dockerArchive(dir.path, ['app:1', 'app:2'], layers);
  assert.deepEqual(await images.import(saved), ['docker.io/library/app:1']);
  const status = images.status('app:2');
  assert.equal(status?.uid, 1000);
  assert.equal(status?.id, images.status('app:1')?.id);
  assert.deepEqual(status?.repoDigests, []);
  const [top = '', base = ''] = images
    .layersOf(status?.id ?? '')
    .map((layer) => join(dir.path, 'root', layer));
  assert.equal(lstatSync(join(top, 'etc/group')).isCharacterDevice(), true);
  assert.equal(existsSync(join(base, 'bin/busybox')), true);

  assert.deepEqual(await images.import(saved, { tag: 'other:3' }), ['docker.io/library/other:3']);
  assert.deepEqual([...(images.status(status?.id ?? '')?.repoTags ?? [])].sort(), [
    'docker.io/library/app:1',
    'docker.io/library/app:2',
    'docker.io/library/other:3',
  ]);
  await images.remove('other:3');
  assert.deepEqual(images.list(), []);
});

test('layers are shared, and go with the last image that has them', async () => {
  await using dir = await scratchDirectory();
  const root = join(dir.path, 'root');
  await using opened = await openTestImages(root);
  const { images } = opened;
  const base = makeTar([{ name: 'base', data: 'b' }]);
  const one = join(dir.path, 'one');
  const two = join(dir.path, 'two');
  writeLayout(one, { name: 'one', layers: [base, makeTar([{ name: '1' }])] });
  writeLayout(two, { name: 'two', layers: [base, makeTar([{ name: '2' }])] });
  await Promise.all([images.import(one), images.import(two)]);
  const ofOne = images.layersOf(images.status('one')?.id ?? '');
  const ofTwo = images.layersOf(images.status('two')?.id ?? '');
  assert.equal(ofOne.at(-1), ofTwo.at(-1));
  assert.notEqual(ofOne[0], ofTwo[0]);
  await images.remove('one');
  assert.equal(existsSync(join(root, ofOne[0] ?? '')), false);
  assert.equal(readFileSync(join(root, ofTwo.at(-1) ?? '', 'base'), 'utf8'), 'b');
  await images.remove('two');
  assert.deepEqual(filesBelow(root), emptyRoot);
});

test('a removed image is out of sight at once, its held layers stay, also over a restart', async () => {
  await using dir = await scratchDirectory();
  const root = join(dir.path, 'root');
  const layout = join(dir.path, 'layout');
  const { configDigest } = writeLayout(layout, {
    name: 'held',
    layers: [makeTar([{ name: 'f', data: 'x' }])],
  });
  let layer = '';
  {
    await using opened = await openTestImages(root);
    const { images } = opened;
    await images.import(layout);
    images.hold(configDigest, 'c1');
    images.hold(configDigest, 'c2');
    [layer = ''] = images.layersOf(configDigest);
    await images.remove('held');
    assert.deepEqual(images.list(), []);
    assert.equal(images.status(configDigest), undefined);
    images.release(configDigest, 'c1');
    assert.deepEqual(images.layersOf(configDigest), [layer]);
  }
  {
    await using opened = await openTestImages(root);
    const { images } = opened;
    assert.equal(readFileSync(join(root, layer, 'f'), 'utf8'), 'x');
    images.hold(configDigest, 'c2');
    await images.recovered();
    assert.deepEqual(images.layersOf(configDigest), [layer]);
    images.release(configDigest, 'c2');
  }
  assert.deepEqual(filesBelow(root), emptyRoot);
});

test('an image that comes back while it is held is whole again', async () => {
  await using dir = await scratchDirectory();
  const layout = join(dir.path, 'layout');
  const { configDigest } = writeLayout(layout, {
    name: 'back',
    layers: [makeTar([{ name: 'f' }])],
  });
  await using opened = await openTestImages(join(dir.path, 'root'));
  const { images } = opened;
  await images.import(layout);
  images.hold(configDigest, 'c');
  await images.remove('back');
  await images.import(layout);
  images.release(configDigest, 'c');
  assert.equal(images.status('back')?.id, configDigest);
  assert.equal(images.layersOf(configDigest).length, 1);
});

test('images are found by every name they have', async () => {
  await using dir = await scratchDirectory();
  const layout = join(dir.path, 'layout');
  const { configDigest, manifestDigest } = writeLayout(layout, {
    name: 'quay.io/team/app:1',
    layers: [],
  });
  await using opened = await openTestImages(join(dir.path, 'root'));
  const { images } = opened;
  await images.import(layout);
  const hex = configDigest.slice(7);
  for (const name of [
    'quay.io/team/app:1',
    `quay.io/team/app@${manifestDigest}`,
    `quay.io/team/app:other@${manifestDigest}`,
    `quay.io/team/app@${configDigest}`,
    configDigest,
    hex,
    hex.slice(0, 12),
    configDigest.slice(0, 20),
  ]) {
    assert.equal(images.status(name)?.id, configDigest, name);
    assert.equal(images.list({ image: name }).length, 1, name);
  }
  for (const name of ['quay.io/team/app', 'app:1', manifestDigest, 'UPPER', '']) {
    assert.equal(images.status(name), undefined, name);
  }
  assert.deepEqual(images.layersOf(configDigest), ['layers/0/fs'], 'no layers: an empty one');
  await images.remove('not-there');
});

test('a tag that moves leaves the old image reachable by digest', async () => {
  await using dir = await scratchDirectory();
  await using opened = await openTestImages(join(dir.path, 'root'));
  const { images } = opened;
  const layouts = ['old', 'new'].map((data) => {
    const path = join(dir.path, data);
    return {
      path,
      ...writeLayout(path, { name: 'app', layers: [makeTar([{ name: 'f', data }])] }),
    };
  });
  for (const { path } of layouts) await images.import(path);
  const [old, now] = layouts;
  assert.equal(images.status('app')?.id, now?.configDigest);
  const left = images.status(`app@${old?.manifestDigest}`);
  assert.equal(left?.id, old?.configDigest);
  assert.deepEqual(left?.repoTags, []);
});

test('an import that fails leaves nothing visible, and the next start nothing at all', async (t) => {
  await using dir = await scratchDirectory();
  const cases: [string, (layout: string, blob: string) => void, object][] = [
    [
      'a truncated layer',
      (_, blob) => writeFileSync(blob, readFileSync(blob).subarray(0, 100)),
      { kind: 'DataLoss', message: /bytes came|digest/ },
    ],
    [
      'a changed layer',
      (_, blob) => {
        const bytes = readFileSync(blob);
        bytes[50] = (bytes[50] ?? 0) ^ 1;
        writeFileSync(blob, bytes);
      },
      { kind: 'DataLoss', message: /digest/ },
    ],
    [
      'a missing layer',
      (layout, blob) => execFileSync('rm', [blob], { cwd: layout }),
      { kind: 'NotFound' },
    ],
    [
      'an index that is none',
      (layout) => writeFileSync(join(layout, 'index.json'), '{}'),
      { kind: 'DataLoss' },
    ],
  ];
  for (const [name, damage, error] of cases) {
    await t.test(name, async () => {
      const root = join(dir.path, name, 'root');
      const layout = join(dir.path, name, 'layout');
      mkdirSync(layout, { recursive: true });
      const { layerDigests } = makeBusyboxLayout(layout);
      damage(layout, join(layout, 'blobs/sha256', layerDigests[0]?.slice(7) ?? ''));
      {
        await using opened = await openTestImages(root);
        await assert.rejects(opened.images.import(layout), error);
        assert.deepEqual(opened.images.list(), []);
        assert.deepEqual(filesBelow(join(root, 'ingest')), []);
      }
      await using opened = await openTestImages(root);
      assert.deepEqual(opened.images.list(), []);
      assert.deepEqual(filesBelow(root), emptyRoot);
    });
  }
});

test('layers whose tar is hostile or not what the configuration says are refused', async (t) => {
  await using dir = await scratchDirectory();
  const root = join(dir.path, 'root');
  await using opened = await openTestImages(root);
  const tar = makeTar([{ name: 'f', data: 'x'.repeat(3000) }]);
  const cases: [string, Buffer, RegExp][] = [
    ['cut', tar.subarray(0, 1024), /damaged tar/],
    ['name', makeTar([{ name: 'a/..' }]), /the name ends in/],
    ['link', makeTar([{ name: 'h', type: 'hardlink', link: '/etc/passwd' }]), /hard link/],
  ];
  for (const [name, layer, message] of cases) {
    await t.test(name, async () => {
      const layout = join(dir.path, name);
      writeLayout(layout, { name, layers: [layer] });
      await assert.rejects(opened.images.import(layout), { kind: 'DataLoss', message });
      assert.deepEqual(filesBelow(join(root, 'layers')), ['0/', '0/fs/']);
    });
  }
  await t.test('diff id', async () => {
    const layout = join(dir.path, 'diff');
    writeLayout(layout, { name: 'diff', layers: [tar] });
    const lie = JSON.stringify({
      rootfs: { type: 'layers', diff_ids: [sha256(Buffer.from('x'))] },
    });
    const saved = join(dir.path, 'lie.tar');
    writeFileSync(
      saved,
      makeTar([
        { name: 'c.json', data: lie },
        { name: 'layer.tar', data: tar },
        { name: 'manifest.json', data: '[{"Config":"c.json","Layers":["layer.tar"]}]' },
      ]),
    );
    await assert.rejects(opened.images.import(saved), { kind: 'DataLoss', message: /unpacks to/ });
  });
});

test('debris of a crash goes at the next start', async () => {
  await using dir = await scratchDirectory();
  const root = join(dir.path, 'root');
  const layout = join(dir.path, 'layout');
  makeBusyboxLayout(layout);
  {
    await using opened = await openTestImages(root);
    await opened.images.import(layout);
  }
  const before = filesBelow(root);
  mkdirSync(join(root, 'layers/7/fs/half'), { recursive: true });
  writeFileSync(join(root, 'ingest/half'), 'x');
  const stray = join(root, 'blobs/sha256', 'a'.repeat(64));
  writeFileSync(stray, 'x');
  execFileSync('touch', ['-d', '25 hours ago', stray]);
  {
    await using opened = await openTestImages(root);
    assert.deepEqual(filesBelow(root), before);
    assert.equal(opened.images.list().length, 1);
  }
  const blob = before.find((name) => name.startsWith('blobs/sha256/') && name.length > 20);
  execFileSync('rm', [join(root, blob ?? '')]);
  await using opened = await openTestImages(root);
  assert.deepEqual(opened.images.list(), [], 'an image that has lost a blob is not shown');
  await opened.images.recovered();
  assert.deepEqual(filesBelow(root), emptyRoot);
});

test('an image for another architecture is refused by name', async () => {
  await using dir = await scratchDirectory();
  const layout = join(dir.path, 'layout');
  writeLayout(layout, { name: 'foreign', layers: [], architecture: 's390x' });
  await using opened = await openTestImages(join(dir.path, 'root'));
  await assert.rejects(opened.images.import(layout), {
    kind: 'FailedPrecondition',
    message: /linux\/s390x/,
  });
});
