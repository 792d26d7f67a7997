import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { makeTar, type TarMember } from '../../scripts/busybox-image.mjs';
import { addon } from '../../src/native/addon.ts';
import { scratchDirectory } from '../helpers/image-fixture.ts';
import { LayerOracle } from '../helpers/layer-oracle.ts';

/** Unpacks the layers, lowest first, each on those below. Resolves with their trees, topmost first. */
async function unpackStack(dir: string, layers: TarMember[][]): Promise<string[]> {
  const trees: string[] = [];
  for (const [index, members] of layers.entries()) {
    const target = join(dir, `${index}`);
    const work = join(dir, `${index}.work`);
    const blob = join(dir, `${index}.tar`);
    mkdirSync(target, { recursive: true });
    mkdirSync(work);
    writeFileSync(blob, makeTar(members));
    const limits = { maxBytes: 1n << 30n, maxEntries: 10_000 };
    const source = { blob, compression: 'none' as const };
    await addon.applyLayer({ ...source, target, work, parents: trees, ...limits });
    trees.unshift(target);
  }
  return trees;
}

/** What a container sees of the trees, described as the oracle does. */
function describeStack(dir: string, trees: string[]): string[] {
  const merged = join(dir, 'merged');
  mkdirSync(merged);
  // At least two: a lower directory alone makes no overlay.
  mkdirSync(join(dir, 'none'));
  const lower = [...trees, join(dir, 'none')].map((tree) => tree.slice(dir.length + 1)).join(':');
  execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', `lowerdir=${lower}`, merged], {
    cwd: dir,
  });
  try {
    return describeMerged(merged);
  } finally {
    execFileSync('umount', [merged]);
  }
}

function describeMerged(root: string): string[] {
  const lines: string[] = [];
  const visit = (path: string, shown: string): void => {
    for (const name of readdirSync(path)) {
      const status = lstatSync(join(path, name));
      const below = shown === '' ? name : `${shown}/${name}`;
      const type = status.isDirectory() ? 'dir' : status.isSymbolicLink() ? 'symlink' : 'file';
      const data =
        type === 'dir'
          ? ''
          : type === 'symlink'
            ? readlinkSync(join(path, name))
            : readFileSync(join(path, name), 'utf8');
      lines.push(`${below} ${type} ${(status.mode & 0o7777).toString(8)} ${status.uid} ${data}`);
      if (type === 'dir') visit(join(path, name), below);
    }
  };
  visit(root, '');
  return lines.sort();
}

async function compare(layers: TarMember[][]): Promise<void> {
  await using dir = await scratchDirectory();
  const oracle = new LayerOracle();
  let refused: unknown;
  try {
    for (const members of layers) oracle.apply(members);
  } catch (error) {
    refused = error;
  }
  if (refused !== undefined) {
    await assert.rejects(unpackStack(dir.path, layers), { name: 'Error' }, String(refused));
    return;
  }
  const trees = await unpackStack(dir.path, layers);
  assert.deepEqual(describeStack(dir.path, trees), oracle.describe());
}

const name = fc.constantFrom('a', 'b', 'lib', 'usr');
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'));
const target = fc.oneof(
  path,
  path.map((to) => `/${to}`),
  path.map((to) => `../${to}`),
);
const mode = fc.constantFrom(0o755, 0o700, 0o4711, 0o644);
const uid = fc.constantFrom(0, 0, 1000);
const whiteout = fc.oneof(
  path.map((of) => of.replace(/[^/]+$/, '.wh.$&')),
  path.map((of) => `${of}/.wh..wh..opq`),
);
const entry: fc.Arbitrary<TarMember> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ name: path, mode, uid, data: fc.constantFrom('1', '22') }) },
  { weight: 4, arbitrary: fc.record({ name: path, type: fc.constant('dir' as const), mode, uid }) },
  {
    weight: 2,
    arbitrary: fc.record({ name: path, type: fc.constant('symlink' as const), link: target }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ name: path, type: fc.constant('hardlink' as const), link: path }),
  },
);
// Whiteouts first, as builders write them: then the order of entries is the order of effects.
const layer = fc
  .tuple(fc.array(whiteout, { maxLength: 2 }), fc.array(entry, { minLength: 1, maxLength: 5 }))
  .map(([gone, made]) => [...gone.map((of) => ({ name: of })), ...made]);

test('any stack of layers is what the specification says', { timeout: 120_000 }, async () => {
  const stacks = fc.array(layer, { minLength: 1, maxLength: 5 });
  await fc.assert(fc.asyncProperty(stacks, compare), { numRuns: 300 });
});

test('a stack of 40 layers that merge /usr and keep changing it', async () => {
  const layers: TarMember[][] = [
    [
      { name: './', type: 'dir' },
      { name: 'usr/lib/', type: 'dir' },
      { name: 'lib', type: 'symlink', link: 'usr/lib' },
      { name: 'usr/lib/base', data: 'base' },
    ].slice(1) as TarMember[],
  ];
  for (let i = 1; i < 40; i += 1) {
    layers.push([
      ...(i % 3 === 0 ? [{ name: `lib/.wh.${i - 1}` }] : []),
      ...(i % 10 === 0 ? [{ name: 'usr/lib/.wh..wh..opq' }] : []),
      { name: `lib/${i}`, data: String(i) },
      { name: 'usr/lib/', type: 'dir', mode: i % 2 ? 0o755 : 0o700 },
      { name: `lib/again-${i}`, type: 'hardlink', link: `usr/lib/${i}` },
    ]);
  }
  await compare(layers);
});

test('types replace one another, through symlinks too', async (t) => {
  const base: TarMember[] = [
    { name: 'usr/lib/', type: 'dir' },
    { name: 'lib', type: 'symlink', link: 'usr/lib' },
    { name: 'usr/lib/x', data: 'x' },
    { name: 'file', data: 'f' },
    { name: 'dir/sub/deep', data: 'd' },
  ];
  const cases: Record<string, TarMember[]> = {
    'a directory entry on a symlink to one': [{ name: 'lib/', type: 'dir' }, { name: 'lib/y' }],
    'a symlink in place of a directory': [{ name: 'dir', type: 'symlink', link: 'usr/lib' }],
    'and a file through it': [
      { name: 'dir', type: 'symlink', link: 'usr/lib' },
      { name: 'dir/through' },
    ],
    'a file in place of a directory': [{ name: 'dir', data: 'now a file' }],
    'a directory in place of a file': [
      { name: 'file', type: 'dir' },
      { name: 'file/below', data: 'b' },
    ],
    'a whiteout through a symlink': [{ name: 'lib/.wh.x' }],
    'a directory that is removed and made again': [
      { name: '.wh.dir' },
      { name: 'dir/', type: 'dir', mode: 0o700 },
      { name: 'dir/new', data: 'n' },
    ],
    'nothing but new modes': [
      { name: 'dir/', type: 'dir', mode: 0o711, uid: 7 },
      { name: 'usr/lib/', type: 'dir', mode: 0o1777 },
    ],
    'whiteouts of what is not there': [{ name: '.wh.none' }, { name: 'no/such/.wh..wh..opq' }],
  };
  for (const [what, members] of Object.entries(cases)) {
    await t.test(what, () => compare([base, members]));
  }
});

test('a refused layer leaves no mount behind', async () => {
  await using dir = await scratchDirectory();
  const layers: TarMember[][] = [
    [{ name: 'f', data: 'x' }],
    [{ name: 'f/below', data: 'a file is no directory' }],
  ];
  await assert.rejects(unpackStack(dir.path, layers), { code: 'ENOTDIR' });
  assert.doesNotMatch(readFileSync('/proc/self/mountinfo', 'utf8'), new RegExp(dir.path));
  rmSync(join(dir.path, '1'), { recursive: true });
});
