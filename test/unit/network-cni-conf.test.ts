import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { parseConflist, parseSingle } from '../../src/network/cni/conf.ts';
import { ConfDir } from '../../src/network/cni/conf-dir.ts';

const list = (more: object) =>
  JSON.stringify({ name: 'net', cniVersion: '1.0.0', plugins: [{ type: 'bridge' }], ...more });

describe('a CNI configuration', () => {
  test('is read with everything that its plugins have', () => {
    const text = list({
      disableCheck: 'True',
      plugins: [
        { type: 'bridge', ipam: { type: 'host-local' }, bigger: [1, { a: null }] },
        { type: 'portmap', capabilities: { portMappings: true, ips: false } },
      ],
    });
    const { plugins, ...network } = parseConflist(text, 'a.conflist');
    assert.deepEqual(network, {
      name: 'net',
      versions: ['1.0.0'],
      disableCheck: true,
      disableGC: false,
      loadOnlyInlinedPlugins: false,
      text,
    });
    assert.deepEqual(plugins[0]?.raw, {
      type: 'bridge',
      ipam: { type: 'host-local' },
      bigger: [1, { a: null }],
    });
    assert.deepEqual(plugins[1]?.capabilities, ['portMappings']);
  });

  const versions: [string, object, string[]][] = [
    ['the one that is given', { cniVersion: '0.3.1' }, ['0.3.1']],
    ['0.1.0 where none is given', { cniVersion: undefined }, ['0.1.0']],
    [
      'all that are given, the highest first, and none of the future',
      { cniVersion: '0.4.0', cniVersions: ['0.3.1', '1.1.0', '1.0.0', '2.0.0'] },
      ['1.1.0', '1.0.0', '0.4.0', '0.3.1'],
    ],
    ['a list alone', { cniVersion: undefined, cniVersions: ['1.0.0'] }, ['1.0.0']],
  ];
  for (const [what, keys, expected] of versions) {
    test(`has the versions: ${what}`, () => {
      assert.deepEqual(parseConflist(list(keys), 'f').versions, expected);
    });
  }

  const wrong: [string, RegExp][] = [
    ['{', /^x: not JSON: /],
    ['[]', /^x: not an object$/],
    [list({ name: undefined }), /^x: name: is missing$/],
    [list({ name: '../up' }), /^x: name: "\.\.\/up" is not a letter/],
    [list({ cniVersion: 1 }), /^x: cniVersion: 1 is not string$/],
    [list({ cniVersion: 'one' }), /^x: cniVersion: "one" is not a version$/],
    [
      list({ cniVersion: '9.0.0' }),
      /^x: cniVersion: 9\.0\.0 is not supported, which is 0\.1\.0 to/,
    ],
    [list({ disableGC: 'perhaps' }), /^x: disableGC: "perhaps" is not/],
    [list({ plugins: {} }), /^x: plugins: \{\} is not Array$/],
    [list({ plugins: [{}] }), /^x: plugins\.0\.type: is missing$/],
    [list({ plugins: [{ type: 'a/b' }] }), /^x: plugins\.0\.type: "a\/b" is not the name/],
    [list({ plugins: [{ type: '..' }] }), /^x: plugins\.0\.type: "\.\." is not the name/],
    [
      list({ plugins: [{ type: 'a', capabilities: { b: 1 } }] }),
      /^x: plugins\.0\.capabilities\.b: 1 is not boolean$/,
    ],
  ];
  for (const [text, message] of wrong) {
    test(`is refused: ${text.slice(0, 70)}`, () => {
      assert.throws(() => parseConflist(text, 'x'), { kind: 'InvalidArgument', message });
    });
  }

  test('of one plugin becomes a list that can be kept', () => {
    const single = parseSingle('{"name":"n","cniVersion":"0.2.0","type":"ptp","mtu":9}', 'x.conf');
    assert.deepEqual(parseConflist(single.text, 'kept'), single);
    assert.deepEqual(single.plugins[0]?.raw, {
      name: 'n',
      cniVersion: '0.2.0',
      type: 'ptp',
      mtu: 9,
    });
    assert.deepEqual(single.versions, ['0.2.0']);
    assert.throws(() => parseSingle(list({}), 'x.conf'), { message: /belongs into .*\.conflist/ });
  });
});

describe('the directory of configurations', () => {
  let base = '';
  let dir = '';
  let opened: ConfDir[] = [];
  const put = (file: string, text: string) => writeFile(join(dir, file), text);
  async function open(): Promise<ConfDir> {
    const conf = new ConfDir(dir);
    opened.push(conf);
    await conf.open();
    return conf;
  }
  const names = (conf: ConfDir) => conf.current.network?.plugins.map((plugin) => plugin.type);
  async function until(condition: () => boolean): Promise<void> {
    for (let i = 0; !condition(); i++) {
      assert.ok(i < 100, 'within 5 s');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  beforeEach(async () => {
    base = await mkdtemp(join(tmpdir(), 'coracle-cni-conf-'));
    dir = join(base, 'net.d');
    await mkdir(dir);
  });
  afterEach(async () => {
    for (const conf of opened) conf.close();
    opened = [];
    await rm(base, { recursive: true });
  });

  test('offers the first valid one by name and says why others do not count', async () => {
    await put('05-broken.conflist', '{');
    await put('06-empty.conflist', list({ plugins: [] }));
    await put('07-other.txt', '{}');
    await mkdir(join(dir, '08-dir.conf'));
    await put('10-b.conf', '{"name":"b","type":"ptp"}');
    await put('09-a.json', '{"name":"a","type":"vlan"}');
    const conf = await open();
    assert.equal(conf.current.network?.name, 'a');
    assert.equal(conf.current.file, join(dir, '09-a.json'));
    assert.equal(conf.current.skipped.length, 2);
    assert.match(conf.current.skipped[0] ?? '', /05-broken\.conflist: not JSON/);
    assert.match(conf.current.skipped[1] ?? '', /06-empty\.conflist: plugins: there is none/);
  });

  test('adds plugins of the directory named as the network', async () => {
    await mkdir(join(dir, 'net'));
    await put('net/20-b.conf', '{"type":"tuning"}');
    await put('net/10-a.conf', '{"type":"portmap","capabilities":{"portMappings":true}}');
    await put('net/30-no.json', '{"type":"no"}');
    await put('10.conflist', list({}));
    const conf = await open();
    assert.deepEqual(names(conf), ['bridge', 'portmap', 'tuning']);
    const kept = parseConflist(conf.current.network?.text ?? '', 'kept');
    assert.deepEqual(kept.plugins, conf.current.network?.plugins);

    await put('10.conflist', list({ plugins: undefined }));
    await put('05.conflist', list({ loadOnlyInlinedPlugins: true }));
    await until(() => names(conf)?.length === 1);
    await rm(join(dir, '05.conflist'));
    await until(() => names(conf)?.length === 2);
    assert.deepEqual(names(conf), ['portmap', 'tuning']);
  });

  test('is followed: files that come, change and go', async () => {
    const conf = await open();
    assert.equal(conf.current.network, undefined);
    await put('10.conflist', list({}));
    await until(() => names(conf)?.[0] === 'bridge');
    await put('10.conflist', list({ plugins: [{ type: 'ptp' }] }));
    await until(() => names(conf)?.[0] === 'ptp');
    await rm(join(dir, '10.conflist'));
    await until(() => conf.current.network === undefined);
  });

  test('is followed when it comes later and when another takes its place', async () => {
    await rm(dir, { recursive: true });
    const conf = await open();
    assert.deepEqual(conf.current, { network: undefined, file: '', skipped: [] });
    await mkdir(dir);
    await put('10.conflist', list({}));
    await until(() => names(conf)?.[0] === 'bridge');

    await mkdir(join(base, 'new'));
    await writeFile(join(base, 'new', '10.conflist'), list({ plugins: [{ type: 'ptp' }] }));
    await rename(dir, join(base, 'old'));
    await rename(join(base, 'new'), dir);
    await until(() => names(conf)?.[0] === 'ptp');
    await put('05.conflist', list({ plugins: [{ type: 'vlan' }] }));
    await until(() => names(conf)?.[0] === 'vlan');
  });

  test('a file in the writing does not hand pods to the next network', async (t) => {
    await put('10.conflist', list({}));
    await put('99.conflist', list({ name: 'other', plugins: [{ type: 'ptp' }] }));
    const conf = await open();
    const seen = new Set<string | undefined>();
    await put('10.conflist', list({}).slice(0, 20));
    const { mtimeMs } = await stat(join(dir, '10.conflist'));
    t.mock.timers.enable({ apis: ['Date'], now: Math.ceil(mtimeMs) });
    for (let i = 0; i < 4; i++) {
      await conf.refresh();
      seen.add(names(conf)?.[0]);
    }
    t.mock.timers.reset();
    await put('10.conflist', list({ plugins: [{ type: 'vlan' }] }));
    await until(() => names(conf)?.[0] === 'vlan');
    assert.deepEqual([...seen], ['bridge']);

    await put('10.conflist', '{');
    const before = new Date(Date.now() - 10_000);
    await utimes(join(dir, '10.conflist'), before, before);
    await conf.refresh();
    assert.equal(names(conf)?.[0], 'ptp');
  });

  test('that cannot be read is told', async () => {
    await rm(dir, { recursive: true });
    await writeFile(dir, '');
    assert.match((await open()).current.skipped[0] ?? '', /net\.d: ENOTDIR/);
  });
});
