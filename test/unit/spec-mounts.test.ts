import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MountConfig } from '../../src/spec/config.ts';
import { containerSpec } from '../../src/spec/container-spec.ts';
import { specInput } from '../helpers/spec-input.ts';

type Change = Parameters<typeof specInput>[0];

function mounts(change: Change = {}) {
  return containerSpec(specInput(change)).mounts;
}
function at(path: string, change: Change = {}) {
  return mounts(change).filter(({ destination }) => destination === path);
}

describe('mounts', () => {
  it('should be the default ones and the pod files, in this order', () => {
    assert.deepEqual(
      mounts().map(({ destination }) => destination),
      [
        '/proc',
        '/dev',
        '/dev/pts',
        '/dev/shm',
        '/dev/mqueue',
        '/sys',
        '/sys/fs/cgroup',
        '/etc/hosts',
        '/etc/resolv.conf',
        '/etc/hostname',
      ],
    );
  });

  const options: [string, string[]][] = [
    ['/proc', ['nosuid', 'noexec', 'nodev']],
    ['/dev', ['nosuid', 'strictatime', 'mode=755', 'size=65536k']],
    ['/dev/pts', ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5']],
    ['/dev/mqueue', ['nosuid', 'noexec', 'nodev']],
    ['/sys', ['nosuid', 'noexec', 'nodev', 'ro']],
    ['/sys/fs/cgroup', ['nosuid', 'noexec', 'nodev', 'relatime', 'ro']],
    ['/etc/hosts', ['rbind', 'rprivate', 'rw']],
  ];
  for (const [path, expected] of options) {
    it(`should mount ${path} with ${expected.join(',')}`, () => {
      assert.deepEqual(
        at(path).map((mount) => mount.options),
        [expected],
      );
    });
  }

  it('should open /sys and the cgroups to a privileged container', () => {
    const change = { sandbox: { privileged: true }, container: { security: { privileged: true } } };
    for (const path of ['/sys', '/sys/fs/cgroup']) {
      const [mount] = at(path, change);
      assert.ok(mount?.options.includes('rw') && !mount.options.includes('ro'), path);
    }
  });

  it("should bind the host's /dev/shm for a pod in the host's IPC namespace", () => {
    const [shm] = at('/dev/shm', { sandbox: { namespaces: { ipc: 'node' } } });
    assert.deepEqual([shm?.type, shm?.source], ['bind', '/dev/shm']);
    assert.deepEqual([at('/dev/shm')[0]?.type, at('/dev/shm')[0]?.source], ['tmpfs', 'shm']);
  });

  it('should make the pod files read-only with the root', () => {
    const change = { container: { security: { readonlyRootfs: true } } };
    assert.deepEqual(at('/etc/hosts', change)[0]?.options, ['rbind', 'rprivate', 'ro']);
  });

  it('should leave out a pod file that is covered, or that the pod has not', () => {
    const own = { containerPath: '/etc//hosts/', hostPath: '/k/hosts' };
    const found = at('/etc/hosts', { container: { mounts: [own] } });
    assert.deepEqual(
      found.map(({ source }) => source),
      ['/k/hosts'],
    );
    assert.deepEqual(at('/etc/hostname', { rest: { podFiles: {} } }), []);
  });

  it('should replace a default mount by one of the same place', () => {
    const shm = at('/dev/shm', {
      container: { mounts: [{ containerPath: '/dev/shm', hostPath: '/big' }] },
    });
    assert.deepEqual(
      shm.map(({ source }) => source),
      ['/big'],
    );
  });

  it('should leave a bound /dev alone', () => {
    const list = mounts({ container: { mounts: [{ containerPath: '/dev', hostPath: '/dev' }] } });
    assert.deepEqual(
      list.filter(({ destination }) => destination.startsWith('/dev')).map(({ type }) => type),
      ['bind'],
    );
  });

  it('should sort by depth and keep the order of equals', () => {
    const mount = (containerPath: string) => ({ containerPath, hostPath: '/h' });
    const list = mounts({
      container: { mounts: ['/a/b/c', '/z', '/a/b', '/a'].map(mount) },
      rest: { podFiles: {} },
    });
    assert.deepEqual(
      list.slice(7).map(({ destination }) => destination),
      ['/z', '/a', '/a/b', '/a/b/c'],
    );
  });

  for (const [propagation, expected, root] of [
    [undefined, 'rprivate', 'private'],
    ['rslave', 'rslave', 'slave'],
    ['rshared', 'rshared', 'shared'],
  ] as const) {
    it(`should pass mounts on as ${expected}`, () => {
      const mount = { containerPath: '/v', hostPath: '/h', readonly: true };
      const spec = containerSpec(
        specInput({
          container: { mounts: [propagation === undefined ? mount : { ...mount, propagation }] },
        }),
      );
      const found = spec.mounts.find(({ destination }) => destination === '/v');
      assert.deepEqual(found?.options, ['rbind', expected, 'ro']);
      assert.equal(spec.linux.rootfsPropagation, root);
    });
  }

  it('should let a mount hide an image volume of the same place', () => {
    const found = mounts({
      container: { mounts: [{ containerPath: '/data', hostPath: '/pvc' }] },
      rest: {
        volumes: [
          { path: '/data/', hostPath: '/vol/1' },
          { path: '/cache', hostPath: '/vol/2' },
          { path: '/cache/../cache', hostPath: '/vol/3' },
          { path: '/proc', hostPath: '/vol/4' },
          { path: '/etc/hosts', hostPath: '/vol/5' },
        ],
      },
    });
    const sources = found.map(({ source }) => source);
    assert.ok(sources.includes('/pvc') && sources.includes('/vol/2'));
    for (const hidden of [1, 3, 4, 5]) assert.ok(!sources.includes(`/vol/${hidden}`), `${hidden}`);
    const root = [{ path: '/', hostPath: '/vol/1' }];
    assert.throws(() => mounts({ rest: { volumes: root } }), /the image declares a volume at "\/"/);
  });

  it('should name a mount by its place, whatever volumes the image declares', () => {
    const rest = { volumes: [{ path: '/cache', hostPath: '/vol/1' }] };
    const container = { mounts: [{ containerPath: '/v', hostPath: 'h' }] };
    assert.throws(() => mounts({ container, rest }), /^CoracleError: mounts\[0\]\.hostPath/);
  });

  for (const [more, expected] of [
    [{ flags: ['noexec', 'nosuid'] }, ['rbind', 'rprivate', 'rw', 'noexec', 'nosuid']],
    [{ readonly: true, recursiveReadonly: true }, ['rbind', 'rprivate', 'rro']],
    [
      { readonly: true, recursiveReadonly: true, flags: ['nodev'] },
      ['rbind', 'rprivate', 'rro', 'nodev'],
    ],
  ] as [Partial<MountConfig>, string[]][]) {
    it(`should take ${JSON.stringify(more)} for ${expected.join(',')}`, () => {
      const container = { mounts: [{ containerPath: '/v', hostPath: '/h', ...more }] };
      assert.deepEqual(at('/v', { container })[0]?.options, expected);
    });
  }

  it('should mount an image read-only, without set-id programs and devices', () => {
    const image = { name: 'models:1', subPath: 'en' };
    const content = { layers: ['layers/2/fs', 'layers/1/fs'], subPath: 'en' };
    const change: Change = {
      container: { mounts: [{ containerPath: '/m', image, flags: ['nodev', 'noexec'] }] },
      rest: { images: new Map([[0, content]]) },
    };
    assert.deepEqual(at('/m', change), [
      {
        destination: '/m',
        type: 'overlay',
        source: 'overlay',
        options: ['ro', 'nosuid', 'nodev', 'noexec'],
        image: content,
      },
    ]);
  });

  const contradictions: [Partial<MountConfig>, RegExp][] = [
    [{ recursiveReadonly: true }, /recursiveReadonly: true needs readonly/],
    [
      { recursiveReadonly: true, readonly: true, propagation: 'rslave' },
      /recursiveReadonly: true needs private propagation/,
    ],
    [{ image: { name: 'i' } }, /hostPath: "\/h" excludes an image/],
    [{ hostPath: undefined } as never, /hostPath: "" is not an absolute path/],
    ...(['/etc', '../x', 'a/../../b', 'a\0'] as const).map((subPath): [never, RegExp] => [
      { hostPath: undefined, image: { name: 'i', subPath } } as never,
      /image\.subPath: .* must be relative/,
    ]),
    [
      { hostPath: undefined, image: { name: 'i' }, readonly: false } as never,
      /readonly: false is not for an image/,
    ],
    [
      { hostPath: undefined, image: { name: 'i' }, propagation: 'rslave' } as never,
      /propagation: "rslave" is not for an image/,
    ],
  ];
  for (const [more, message] of contradictions) {
    it(`should refuse ${JSON.stringify(more)}`, () => {
      const container = { mounts: [{ containerPath: '/v', hostPath: '/h', ...more }] };
      assert.throws(() => mounts({ container }), message);
    });
  }

  it('should name a mount of no use', () => {
    const one = (containerPath: string, hostPath: string) =>
      mounts({ container: { mounts: [{ containerPath, hostPath }] } });
    assert.throws(() => one('/', '/h'), /mounts\[0\]\.containerPath/);
    assert.throws(() => one('', '/h'), /mounts\[0\]\.containerPath/);
    assert.throws(() => one('/v', 'h'), /mounts\[0\]\.hostPath: "h"/);
  });
});
