import assert from 'node:assert/strict';
import { test } from 'node:test';
import { imageUser, parseImageConfig } from '../../src/image/config.ts';
import { chainIds, digestOf } from '../../src/image/digest.ts';
import { MediaType, parseManifest } from '../../src/image/manifest.ts';
import { choosePlatform, hostPlatform, type Platform } from '../../src/image/platform.ts';

const a = digestOf('a');
const b = digestOf('b');
const c = digestOf('c');
const bytes = (value: unknown) => Buffer.from(JSON.stringify(value));
const linux = (architecture: string, variant?: string): { platform: Platform } => ({
  platform: { os: 'linux', architecture, ...(variant ? { variant } : {}) },
});

test('the platform of the host is chosen, whatever the order', async (t) => {
  const cases: [host: NodeJS.Architecture, offers: { platform?: Platform }[], chosen: number][] = [
    ['x64', [linux('arm64'), linux('amd64')], 1],
    ['x64', [linux('amd64', 'v3'), linux('amd64')], 1],
    ['x64', [linux('amd64', 'v3'), linux('amd64', 'v2')], 1],
    ['x64', [{ platform: { os: 'windows', architecture: 'amd64' } }, linux('amd64')], 1],
    ['x64', [{ platform: { os: 'unknown', architecture: 'unknown' } }, linux('amd64')], 1],
    ['x64', [linux('386'), linux('arm', 'v7')], -1],
    ['x64', [{}], 0],
    ['x64', [{}, linux('amd64')], 1],
    ['arm64', [linux('arm64', 'v8')], 0],
    ['arm64', [linux('arm64')], 0],
    ['arm64', [linux('arm64', 'v9'), linux('arm64', 'v8')], 1],
    ['arm', [linux('arm', 'v6'), linux('arm', 'v7'), linux('arm', 'v5')], 1],
    ['arm', [linux('arm', 'v5'), linux('arm', 'v6')], 1],
    ['arm', [linux('arm', 'v8')], -1],
    ['x64', [], -1],
  ];
  for (const [host, offers, chosen] of cases) {
    await t.test(`${host}: ${JSON.stringify(offers)}`, () => {
      assert.equal(choosePlatform(offers, hostPlatform(host)), offers[chosen]);
    });
  }
});

test('OCI and Docker documents are told apart by what they hold', () => {
  const config = { mediaType: MediaType.dockerConfig, digest: a, size: 1 };
  const layers = [{ mediaType: 'x', digest: b, size: 2 }];
  const manifest = parseManifest(bytes({ schemaVersion: 2, config, layers }), 'm');
  assert.deepEqual(manifest, { kind: 'manifest', config, layers });
  const entry = {
    digest: a,
    size: 1,
    platform: { os: 'linux', architecture: 'arm', variant: 'v7' },
  };
  const index = parseManifest(bytes({ schemaVersion: 2, manifests: [entry] }), 'm');
  assert.deepEqual(index, { kind: 'index', manifests: [{ mediaType: '', ...entry }] });
});

test('what is no image manifest is refused', async (t) => {
  const config = { mediaType: MediaType.ociConfig, digest: a, size: 1 };
  const cases: [value: unknown, kind: string, message: RegExp][] = [
    [{ schemaVersion: 1, fsLayers: [] }, 'Unimplemented', /schema 1/],
    [{ schemaVersion: 2 }, 'DataLoss', /config/],
    [{ schemaVersion: 2, config, layers: [{ digest: 'sha256:x', size: 1 }] }, 'DataLoss', /digest/],
    [{ schemaVersion: 2, config, layers: [{ digest: a, size: -1 }] }, 'DataLoss', /size/],
    [
      { schemaVersion: 2, config, layers: Array(501).fill({ digest: a, size: 1 }) },
      'DataLoss',
      /layers/,
    ],
    [
      { schemaVersion: 2, config: { ...config, mediaType: 'application/wasm' }, layers: [] },
      'Unimplemented',
      /not a container image/,
    ],
    [[], 'DataLoss', /./],
  ];
  for (const [value, kind, message] of cases) {
    await t.test(JSON.stringify(value).slice(0, 60), () => {
      assert.throws(() => parseManifest(bytes(value), 'm'), { kind, message });
    });
  }
  assert.throws(() => parseManifest(Buffer.from('{'), 'm'), { kind: 'DataLoss' });
  assert.throws(() => parseManifest(Buffer.from([0xff, 0xfe]), 'm'), { kind: 'DataLoss' });
});

test('chain ids follow the specification', () => {
  assert.deepEqual(chainIds([]), []);
  const second = digestOf(`${a} ${b}`);
  assert.deepEqual(chainIds([a, b, c]), [a, second, digestOf(`${second} ${c}`)]);
});

test('a configuration may leave out or null everything', () => {
  const sparse = parseImageConfig(
    bytes({ rootfs: { type: 'layers', diff_ids: null }, config: { Env: null, Labels: null } }),
    'c',
  );
  assert.deepEqual(sparse.config, {
    user: '',
    env: [],
    entrypoint: [],
    cmd: [],
    workingDir: '',
    volumes: [],
    stopSignal: '',
    labels: {},
  });
  const full = parseImageConfig(
    bytes({
      os: 'linux',
      architecture: 'arm64',
      variant: 'v8',
      rootfs: { type: 'layers', diff_ids: [a] },
      config: {
        User: 'app:extra',
        Env: ['A=1'],
        Entrypoint: ['/e'],
        Cmd: ['c'],
        WorkingDir: '/w',
        Volumes: { '/v2': {}, '/v1': {} },
        StopSignal: 'SIGQUIT',
        Labels: { l: 'x' },
      },
    }),
    'c',
  );
  assert.deepEqual(full, {
    config: {
      user: 'app:extra',
      env: ['A=1'],
      entrypoint: ['/e'],
      cmd: ['c'],
      workingDir: '/w',
      volumes: ['/v1', '/v2'],
      stopSignal: 'SIGQUIT',
      labels: { l: 'x' },
    },
    platform: { os: 'linux', architecture: 'arm64', variant: 'v8' },
    diffIds: [a],
  });
  assert.throws(
    () => parseImageConfig(bytes({ rootfs: { type: 'layers', diff_ids: ['x'] } }), 'c'),
    { kind: 'DataLoss' },
  );
});

test('the user is a number or a name', () => {
  assert.deepEqual(imageUser('1000:1000'), { uid: 1000, username: '' });
  assert.deepEqual(imageUser('app'), { uid: undefined, username: 'app' });
  assert.deepEqual(imageUser('app:5'), { uid: undefined, username: 'app' });
  assert.deepEqual(imageUser(''), { uid: undefined, username: '' });
  assert.deepEqual(imageUser('4294967294'), { uid: 4294967294, username: '' });
  // No number on the wire has room for this one, and a list of images has to.
  const none = '9'.repeat(400);
  assert.deepEqual(imageUser(none), { uid: undefined, username: none });
});
