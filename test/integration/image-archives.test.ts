import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { openLayout } from '../../src/image/layout-source.ts';
import { addon } from '../../src/native/addon.ts';
import {
  filesBelow,
  makeTar,
  openTestImages,
  scratchDirectory,
  sha256,
  tarLayout,
  writeLayout,
} from '../helpers/image-fixture.ts';

const signal = new AbortController().signal;

const here = { os: 'linux', architecture: process.arch === 'x64' ? 'amd64' : process.arch };
const LAYER = 'application/vnd.oci.image.layer.v1.tar';
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

interface Entry {
  digest: string;
  size: number;
  mediaType: string;
}

/** A layout that several images can be put into, with entries as each tool writes them. */
class Layout {
  readonly path: string;
  readonly #entries: object[] = [];

  constructor(path: string) {
    this.path = path;
    mkdirSync(join(path, 'blobs/sha256'), { recursive: true });
    writeFileSync(join(path, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  }

  put(mediaType: string, bytes: Buffer | string | object): Entry {
    const plain = typeof bytes === 'string' || Buffer.isBuffer(bytes);
    const data = Buffer.from(plain ? bytes : JSON.stringify(bytes));
    const digest = sha256(data);
    writeFileSync(join(this.path, 'blobs/sha256', digest.slice(7)), data);
    return { mediaType, digest, size: data.length };
  }

  image(content: string, platform: object = here): Entry {
    const layer = makeTar([{ name: 'content', data: content }]);
    const config = { ...platform, rootfs: { type: 'layers', diff_ids: [sha256(layer)] } };
    return this.put(MANIFEST, {
      schemaVersion: 2,
      config: this.put('application/vnd.oci.image.config.v1+json', config),
      layers: [this.put(LAYER, layer)],
    });
  }

  add(entry: Entry, annotations: object = {}, platform?: object): this {
    this.#entries.push({ ...entry, annotations, ...(platform ? { platform } : {}) });
    const index = { schemaVersion: 2, manifests: this.#entries };
    writeFileSync(join(this.path, 'index.json'), JSON.stringify(index));
    return this;
  }
}

const ref = (name: string) => ({ 'org.opencontainers.image.ref.name': name });

test('archives in gzip and zstd come in, of several members and frames too', async (t) => {
  await using dir = await scratchDirectory();
  const layout = join(dir.path, 'layout');
  writeLayout(layout, { name: 'app:1', layers: [makeTar([{ name: 'f', data: 'x' }])] });
  const plain = join(dir.path, 'plain.tar');
  tarLayout(layout, plain);
  const bytes = readFileSync(plain);
  const halves = [bytes.subarray(0, 5000), bytes.subarray(5000)];
  const zstd = (input: Buffer) => execFileSync('zstd', ['-q', '-c'], { input });
  const cases: Record<string, () => Buffer> = {
    gzip: () => gzipSync(bytes),
    'gzip in two members': () => Buffer.concat(halves.map((half) => gzipSync(half))),
    zstd: () => zstd(bytes),
    'zstd in two frames': () => Buffer.concat(halves.map(zstd)),
    'zstd as pzstd begins it': () =>
      Buffer.concat([Buffer.from('502a4d180400000012345678', 'hex'), zstd(bytes)]),
  };
  const hasZstd = execFileSync('sh', ['-c', 'command -v zstd || true']).length > 0;
  for (const [name, make] of Object.entries(cases)) {
    const skip = name.startsWith('zstd') && !hasZstd ? 'zstd is not installed' : false;
    await t.test(name, { skip }, async () => {
      const file = join(dir.path, 'archive');
      writeFileSync(file, make());
      const root = join(dir.path, name);
      await using opened = await openTestImages(root);
      assert.deepEqual(await opened.images.import(file), ['docker.io/library/app:1']);
      assert.deepEqual(filesBelow(join(root, 'ingest')), []);
    });
  }
});

test('compressed archives that are damaged or too much leave nothing behind', async (t) => {
  await using dir = await scratchDirectory();
  const root = join(dir.path, 'root');
  await using opened = await openTestImages(root);
  const gz = gzipSync(makeTar([{ name: 'index.json', data: 'x'.repeat(100_000) }]), { level: 0 });
  const flipped = Buffer.from(gz);
  flipped.writeUInt32LE(0xdeadbeef, gz.length - 8);
  const cases: [string, Buffer, RegExp][] = [
    ['cut', gz.subarray(0, 50_000), /ends early/],
    ['checksum', flipped, /checksum is wrong/],
    ['zstd', Buffer.from('28b52ffd00000000', 'hex'), /cannot be decompressed/],
    ['no tar inside', gzipSync('no tar at all'.repeat(100)), /is no intact tar/],
    ['empty', gzipSync(''), /is no intact tar/],
  ];
  for (const [name, bytes, message] of cases) {
    await t.test(name, async () => {
      const file = join(dir.path, name);
      writeFileSync(file, bytes);
      await assert.rejects(opened.images.import(file), (error: Error & { kind?: string }) => {
        assert.equal(error.kind, 'DataLoss');
        assert.match(error.message, message);
        assert.match(error.message, new RegExp(file), 'names the file that was given');
        return true;
      });
      assert.deepEqual(filesBelow(join(root, 'ingest')), []);
    });
  }
});

test('entries are images by name, by bare tag, and by platform', async (t) => {
  await using dir = await scratchDirectory();
  const at = (name: string) => new Layout(join(dir.path, name));
  const other = { os: 'linux', architecture: 's390x' };
  const cases: [string, (layout: Layout) => void, (string | RegExp)[]][] = [
    [
      'podman: full names in ref.name',
      (l) => l.add(l.image('1'), ref('localhost/one:1')).add(l.image('2'), ref('quay.io/a/two:2')),
      ['localhost/one:1', 'quay.io/a/two:2'],
    ],
    [
      'docker: one image, two names',
      (l) => {
        const image = l.image('1');
        for (const tag of ['1', '2']) {
          const name = `docker.io/library/app:${tag}`;
          l.add(image, { 'io.containerd.image.name': name, ...ref(tag) });
        }
      },
      ['docker.io/library/app:1'],
    ],
    [
      'skopeo: bare tags',
      (l) => l.add(l.image('1'), ref('v1')).add(l.image('2'), ref('v2')),
      [/^sha256:/, /^sha256:/],
    ],
    ['nothing at all', (l) => l.add(l.image('1')).add(l.image('2')), [/^sha256:/, /^sha256:/]],
    [
      'one name, several platforms, blobs of one',
      (l) => {
        const foreign = { ...l.image('x', other), digest: `sha256:${'0'.repeat(64)}` };
        l.add(foreign, ref('a/b:1'), other).add(l.image('here'), ref('a/b:1'), here);
      },
      ['docker.io/a/b:1'],
    ],
    [
      'no name, several platforms, and what buildkit says about them',
      (l) => {
        const about = { os: 'unknown', architecture: 'unknown' };
        l.add(l.image('x', other), {}, other).add(l.image('here'), {}, here);
        l.add(l.image('y'), {}, about).add(l.image('z'), {}, about);
      },
      [/^sha256:/],
    ],
    ['a label that is no name', (l) => l.add(l.image('1'), ref('Some/LABEL:x')), [/^sha256:/]],
  ];
  for (const [name, build, expected] of cases) {
    await t.test(name, async () => {
      const layout = at(name);
      build(layout);
      await using opened = await openTestImages(join(dir.path, `${name} root`));
      const names = await opened.images.import(layout.path);
      assert.equal(names.length, expected.length, names.join(' '));
      for (const [index, want] of expected.entries()) {
        const got = names[index] ?? '';
        if (typeof want === 'string') assert.equal(got, want);
        else assert.match(got, want);
      }
      assert.equal(new Set(names).size, names.length);
      if (name.startsWith('docker')) {
        const tags = ['docker.io/library/app:1', 'docker.io/library/app:2'];
        assert.deepEqual(opened.images.status('app:2')?.repoTags.toSorted(), tags);
      }
    });
  }
  await t.test('no platform that fits', async () => {
    const layout = at('foreign');
    layout.add(layout.image('x', other), ref('a/b:1'), other);
    await using opened = await openTestImages(join(dir.path, 'foreign root'));
    await assert.rejects(opened.images.import(layout.path), {
      kind: 'NotFound',
      message: /docker\.io\/a\/b:1 in .* has no image for linux\//,
    });
  });
});

/** As "podman save" writes it: layers at the top, and symlinks to them where Docker had them. */
function podmanArchive(contents: Record<string, string[]>): Buffer {
  const members: Parameters<typeof makeTar>[0] = [];
  const manifest: object[] = [];
  for (const [tag, layers] of Object.entries(contents)) {
    const tars = layers.map((data) => makeTar([{ name: data, data }]));
    const config = { ...here, rootfs: { type: 'layers', diff_ids: tars.map(sha256) } };
    const bytes = Buffer.from(JSON.stringify(config));
    const name = `${sha256(bytes).slice(7)}.json`;
    const names = tars.map((tar) => `${sha256(tar).slice(7)}.tar`);
    for (const [index, data] of tars.entries()) {
      members.push({ name: names[index] ?? '', data });
      const link = { type: 'symlink' as const, link: `../${names[index]}` };
      members.push({ name: `${tag.length}${index}/layer.tar`, ...link });
    }
    members.push({ name, data: bytes });
    manifest.push({ Config: name, RepoTags: [tag], Layers: names });
  }
  return makeTar([...members, { name: 'manifest.json', data: JSON.stringify(manifest) }]);
}

test('several images of one "docker save" archive share their layers', async () => {
  await using dir = await scratchDirectory();
  const file = join(dir.path, 'saved.tar');
  writeFileSync(file, podmanArchive({ 'localhost/a:1': ['base', 'a'], 'b:2': ['base', 'b'] }));
  await using opened = await openTestImages(join(dir.path, 'root'));
  const { images } = opened;
  assert.deepEqual(await images.import(file), ['localhost/a:1', 'docker.io/library/b:2']);
  const [a, b] = ['localhost/a:1', 'b:2'].map((name) =>
    images.layersOf(images.status(name)?.id ?? ''),
  );
  assert.equal(a?.[1], b?.[1]);
  assert.notEqual(a?.[0], b?.[0]);
  await assert.rejects(images.import(file, { tag: 'c' }), { kind: 'InvalidArgument' });
});

/** Writes the checksum of a tar header anew, after its type or size have been changed. */
function fixChecksum(member: Buffer): void {
  member.write('        ', 148, 'latin1');
  const sum = member.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  member.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
}

test('a source that is not read opens nothing', async () => {
  await using dir = await scratchDirectory();
  const file = join(dir.path, 'a.tar');
  writeFileSync(file, makeTar([{ name: 'member', data: 'text' }]));
  writeFileSync(join(dir.path, 'member'), 'text');
  const open = () => readdirSync('/proc/self/fd').length;
  for (const path of [file, dir.path]) {
    const source = await openLayout(addon, path, join(dir.path, 'scratch'), signal);
    const before = open();
    const streams = [source.stream('member'), source.stream('nothing')];
    await sleep(50);
    assert.equal(open(), before);
    assert.equal((await source.read('member', 10)).toString(), 'text');
    await assert.rejects(source.read('nothing', 10), { kind: 'NotFound' });
    assert.equal(streams.length, 2);
    await source.close();
  }
});

test('what has no end, or nothing in it, is not opened', async () => {
  await using dir = await scratchDirectory();
  writeFileSync(join(dir.path, 'empty'), '');
  const open = (path: string) => openLayout(addon, path, join(dir.path, 'scratch'), signal);
  await assert.rejects(open('/dev/zero'), {
    kind: 'InvalidArgument',
    message: '/dev/zero is neither a file nor a directory',
  });
  for (const path of ['/proc/kmsg', join(dir.path, 'empty')]) {
    await assert.rejects(open(path), { kind: 'InvalidArgument', message: `${path} is empty` });
  }
});

test('archives and directories that lie reach nothing else', async (t) => {
  await using dir = await scratchDirectory();
  await using opened = await openTestImages(join(dir.path, 'root'));
  writeFileSync(join(dir.path, 'secret'), '{"os":"linux"}');
  const manifest = (of: object) => JSON.stringify([of]);
  const saved: [string, Parameters<typeof makeTar>[0]][] = [
    ['a path out', [{ name: 'manifest.json', data: manifest({ Config: '../secret' }) }]],
    [
      'a symlink out',
      [
        { name: 'c.json', type: 'symlink', link: join(dir.path, 'secret') },
        { name: 'manifest.json', data: manifest({ Config: 'c.json' }) },
      ],
    ],
    [
      'a circle',
      [
        { name: 'c.json', type: 'symlink', link: 'd.json' },
        { name: 'd.json', type: 'symlink', link: 'c.json' },
        { name: 'manifest.json', data: manifest({ Config: 'c.json' }) },
      ],
    ],
  ];
  for (const [name, members] of saved) {
    await t.test(name, async () => {
      const file = join(dir.path, `${name}.tar`);
      writeFileSync(file, makeTar(members));
      await assert.rejects(opened.images.import(file), { kind: 'NotFound' });
    });
  }
  const layout = new Layout(join(dir.path, 'layout'));
  layout.add(layout.image('1'), ref('a:1'));
  const copy = (name: string) => {
    const path = join(dir.path, name);
    cpSync(layout.path, path, { recursive: true });
    return path;
  };
  await t.test('a named pipe for an index', async () => {
    const path = copy('pipe');
    rmSync(join(path, 'index.json'));
    execFileSync('mkfifo', [join(path, 'index.json')]);
    await assert.rejects(opened.images.import(path), { kind: 'InvalidArgument' });
    await assert.rejects(opened.images.import(join(path, 'index.json')), {
      kind: 'InvalidArgument',
    });
  });
  await t.test('an index without end', async () => {
    const path = copy('endless');
    rmSync(join(path, 'index.json'));
    symlinkSync('/dev/zero', join(path, 'index.json'));
    await assert.rejects(opened.images.import(path), { kind: 'InvalidArgument' });
  });
  await t.test('links of gigabytes', async () => {
    const target = Buffer.alloc(1 << 20, 'x');
    const member = (index: number) => {
      const long = makeTar([{ name: '././@LongLink', data: target }]).subarray(
        0,
        512 + target.length,
      );
      long.write('K', 156, 'latin1');
      fixChecksum(long);
      return [long, makeTar([{ name: `${index}`, type: 'symlink', link: 'y' }]).subarray(0, 512)];
    };
    const file = join(dir.path, 'links.tar');
    const members = Array.from({ length: 66 }, (_, index) => member(index)).flat();
    writeFileSync(file, Buffer.concat([...members, Buffer.alloc(1024)]));
    await assert.rejects(opened.images.import(file), {
      kind: 'DataLoss',
      message: /too many and too long names/,
    });
    rmSync(file);
  });
  await t.test('names of gigabytes', async () => {
    const header = makeTar([{ name: '././@LongLink', data: '' }]).subarray(0, 512);
    header.write('L', 156, 'latin1');
    header.write('77777777777\0', 124, 'latin1');
    fixChecksum(header);
    const file = join(dir.path, 'long.tar');
    writeFileSync(file, Buffer.concat([header, Buffer.alloc(1 << 20)]));
    await assert.rejects(opened.images.import(file), {
      kind: 'DataLoss',
      message: /no intact tar/,
    });
  });
  assert.deepEqual(opened.images.list(), []);
});
