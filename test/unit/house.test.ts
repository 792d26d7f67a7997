import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
// @ts-expect-error a script without declarations
import { allowed, layerOf, violations } from '../../scripts/check-imports.mjs';

const root = join(import.meta.dirname, '../..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const json = (path: string) => JSON.parse(read(path)) as Record<string, unknown>;

function files(folder: string, ending: RegExp): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => `${folder}/${name}`)
    .filter((name) => ending.test(name))
    .sort();
}

test('native/sources.json lists the C++ sources that exist, each once', () => {
  const listed = Object.values(json('native/sources.json') as Record<string, string[]>).flat();
  assert.deepEqual(listed.toSorted(), [...new Set(listed)].sort(), 'one group for each file');
  assert.deepEqual(
    listed.toSorted(),
    [...files('native', /\.cc$/), ...files('test/native', /\.cc$/)].sort(),
  );
});

test('binding.gyp and CMakeLists.txt both take their sources from native/sources.json', () => {
  assert.match(read('binding.gyp'), /native-sources\.mjs/);
  assert.match(read('scripts/native-sources.mjs'), /native\/sources\.json/);
  assert.match(read('CMakeLists.txt'), /file\(READ native\/sources\.json/);
  for (const build of ['binding.gyp', 'CMakeLists.txt']) {
    assert.doesNotMatch(read(build), /native\/[a-z_/]+\.cc/, `${build} names no source itself`);
  }
});

test('every dependency has its line in docs/dependencies.md, and no other has', () => {
  const { dependencies, devDependencies } = json('package.json');
  const npm = Object.keys({ ...(dependencies as object), ...(devDependencies as object) });
  const apt = read('scripts/apt-packages.txt')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  const documented = [...read('docs/dependencies.md').matchAll(/^\| `([^`]+)` \|/gm)].map(
    (m) => m[1],
  );
  assert.deepEqual(documented.toSorted(), [...npm, ...apt].sort());
});

test('dependencies are pinned', () => {
  const { dependencies, devDependencies } = json('package.json');
  for (const [name, version] of Object.entries({
    ...(dependencies as object),
    ...(devDependencies as object),
  })) {
    assert.match(version as string, /^\d+\.\d+\.\d+$/, name);
  }
});

test('no source file is longer than 400 lines, but generated ones', () => {
  const sources = [
    ...files('src', /\.ts$/).filter((path) => !path.startsWith('src/cri/gen/')),
    ...files('native', /\.(cc|h)$/),
    ...files('scripts', /\.(mjs|sh)$/),
  ];
  const long = sources.filter((path) => read(path).split('\n').length > 401);
  assert.deepEqual(long, []);
});

test('imports point downwards only', () => {
  const found = files('src', /\.ts$/).flatMap((path) => violations(path, read(path)) as string[]);
  assert.deepEqual(found, []);
});

test('the import rule notices what it should', () => {
  assert.equal(layerOf('src/cri/server.ts'), 'cri');
  assert.equal(layerOf('src/errors.ts'), 'errors');
  const bad: [string, string, RegExp][] = [
    ['src/store/a.ts', "import type { X } from '../runtime/b.ts';", /store imports from runtime/],
    [
      'src/store/a.ts',
      "const x =\n await import('../cri/b.ts');",
      /a\.ts:2: store imports from cri/,
    ],
    ['src/image/a.ts', "import '../network/b.ts';", /image imports from network/],
    ['src/runtime/cgroup/a.ts', "export * from '../../cri/b.ts';", /runtime imports from cri/],
    ['src/spec/a.ts', "import x from '../store/b.ts';", /spec imports from store/],
    ['src/errors.ts', "import x from './native/b.ts';", /errors imports from native; .*: nothing/],
    ['src/cli/a.ts', "import x from '../../test/b.ts';", /outside of src/],
    ['src/misc/a.ts', '', /misc is no layer/],
  ];
  for (const [path, text, message] of bad) {
    const found = violations(path, text) as string[];
    assert.equal(found.length, 1, text);
    assert.match(found[0] ?? '', message);
  }
  const good: [string, string][] = [
    ['src/cri/a.ts', "import x from '../runtime/b.ts';\nimport y from './c.ts';"],
    ['src/runtime/a.ts', "import x from '../image/b.ts';\nimport z from 'lmdb';"],
    ['src/cli/a.ts', "import x from '../index.ts';"],
  ];
  for (const [path, text] of good) assert.deepEqual(violations(path, text), []);
  for (const [layer, below] of Object.entries(allowed as Record<string, string[]>)) {
    for (const other of below) assert.ok(!allowed[other].includes(layer), `${layer} ⇄ ${other}`);
  }
});

test('what is published is all that an installation builds from', () => {
  const published = json('package.json').files as string[];
  const { install } = json('package.json').scripts as Record<string, string>;
  const script = install?.match(/scripts\/\S+/)?.[0] ?? '';
  for (const needed of [
    'binding.gyp',
    'native',
    script,
    'scripts/native-sources.mjs',
    'scripts/build-monitor.sh',
  ]) {
    assert.ok(published.includes(needed), `${needed} is published`);
  }
});
