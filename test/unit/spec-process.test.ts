import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { containerSpec } from '../../src/spec/container-spec.ts';
import { processArgs, processCwd, processEnv, processUser } from '../../src/spec/process.ts';
import { CONTAINER, IMAGE, specInput } from '../helpers/spec-input.ts';

describe('arguments', () => {
  const image = { ...IMAGE, entrypoint: ['/entry', '-x'], cmd: ['default'] };
  const cases: [string, object, object, string[]][] = [
    ['should take entrypoint and cmd of the image', {}, image, ['/entry', '-x', 'default']],
    ['should let args replace the cmd', { args: ['a'] }, image, ['/entry', '-x', 'a']],
    ['should let a command replace both', { command: ['/c'] }, image, ['/c']],
    ['should join command and args', { command: ['/c'], args: ['a'] }, image, ['/c', 'a']],
    ['should take the cmd alone', {}, { ...IMAGE, cmd: ['/bin/sh'] }, ['/bin/sh']],
    [
      'should take an entrypoint of one empty word as none',
      {},
      { ...IMAGE, entrypoint: [''], cmd: ['/bin/ls'] },
      ['/bin/ls'],
    ],
    [
      'should take empty lists as absent',
      { command: [], args: [] },
      image,
      ['/entry', '-x', 'default'],
    ],
  ];
  for (const [name, config, from, expected] of cases) {
    it(name, () => {
      assert.deepEqual(processArgs({ ...CONTAINER, ...config }, { ...IMAGE, ...from }), expected);
    });
  }

  it('should refuse a container with nothing to run', () => {
    assert.throws(() => processArgs(CONTAINER, { ...IMAGE, cmd: [] }), /^CoracleError: command: /);
  });

  it('should refuse a NUL byte, which would cut the argument short', () => {
    assert.throws(
      () => processArgs({ ...CONTAINER, command: ['a', 'b\0c'] }, IMAGE),
      /command\[1\]: contains a NUL byte/,
    );
  });
});

describe('environment', () => {
  it('should let later sources win and keep one entry a name', () => {
    const env = processEnv(
      {
        env: [
          ['A', 'config'],
          ['HOSTNAME', 'mine'],
        ],
        tty: true,
      },
      { env: ['A=image', 'PATH=/image', 'B=x=y', 'FLAG'] },
      'pod-host',
    );
    assert.deepEqual(env, [
      'PATH=/image',
      'TERM=xterm',
      'HOSTNAME=mine',
      'A=config',
      'B=x=y',
      'FLAG=',
    ]);
  });

  it('should have a default PATH and no TERM without a terminal', () => {
    const env = processEnv({}, { env: [] }, 'h');
    assert.deepEqual(env, [
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'HOSTNAME=h',
    ]);
  });

  for (const name of ['', 'A=B']) {
    it(`should refuse the name ${JSON.stringify(name)}`, () => {
      assert.throws(() => processEnv({ env: [[name, 'v']] }, { env: [] }, 'h'), /env\[0\]/);
    });
  }

  it('should name the host where the pod has no name of its own', () => {
    const { env } = containerSpec(specInput({ sandbox: { hostname: '' } })).process;
    assert.ok(env.includes('HOSTNAME=node-1'));
  });
});

describe('working directory', () => {
  const cases: [string | undefined, string, string][] = [
    [undefined, '', '/'],
    [undefined, '/srv', '/srv'],
    [undefined, 'srv/app', '/srv/app'],
    ['/tmp', '/srv', '/tmp'],
    ['/tmp/../../etc/./x/', '', '/etc/x'],
  ];
  for (const [own, image, expected] of cases) {
    it(`should be ${expected} for ${own} over ${JSON.stringify(image)}`, () => {
      const config = own === undefined ? {} : { workingDir: own };
      assert.equal(processCwd(config, { ...IMAGE, workingDir: image }), expected);
    });
  }

  it('should refuse a relative one of the configuration', () => {
    assert.throws(() => processCwd({ workingDir: 'tmp' }, IMAGE), /workingDir: "tmp"/);
  });
});

describe('user', () => {
  const cases: [string, object, string, object][] = [
    ['root without any', {}, '', { username: '', groupname: '', uid: 0, gid: 0 }],
    ['the image user', {}, 'www', { username: 'www', groupname: '', uid: 0, gid: 0 }],
    [
      'the image user and group',
      {},
      '33:34',
      { username: '33', groupname: '34', uid: 33, gid: 34 },
    ],
    [
      'runAsUser over the image',
      { runAsUser: 5 },
      '33:34',
      { username: '5', groupname: '', uid: 5 },
    ],
    ['runAsUser 0', { runAsUser: 0 }, '33', { username: '0', groupname: '', uid: 0 }],
    [
      'runAsUsername before runAsUser',
      { runAsUser: 5, runAsUsername: 'bob' },
      '',
      { username: 'bob' },
    ],
    [
      'user and group',
      { runAsUser: 5, runAsGroup: 6 },
      '',
      { username: '5', groupname: '6', gid: 6 },
    ],
    [
      'strict groups',
      { supplementalGroupsPolicy: 'strict', supplementalGroups: [7, 8, 7] },
      '',
      { mergeGroups: false, additionalGids: [7, 8] },
    ],
  ];
  for (const [name, security, user, expected] of cases) {
    it(`should be ${name}`, () => {
      const found = processUser(security, { user });
      assert.deepEqual({ ...found, ...expected }, found);
    });
  }

  it('should refuse a group without a user, even where the image has one', () => {
    assert.throws(() => processUser({ runAsGroup: 6 }, { user: '33' }), /security\.runAsGroup: 6/);
  });

  for (const id of [-1, 1.5, 0xffff_ffff]) {
    it(`should refuse the id ${id}`, () => {
      assert.throws(() => processUser({ runAsUser: id }, { user: '' }), /security\.runAsUser/);
    });
  }
});

describe('limits of the process', () => {
  it('should put the own ones over those of the host', () => {
    const { rlimits, oomScoreAdj } = containerSpec(
      specInput({
        host: {
          rlimits: [
            { type: 'RLIMIT_NOFILE', soft: 1024, hard: 4096 },
            { type: 'RLIMIT_CORE', soft: 0, hard: 0 },
          ],
        },
        container: { rlimits: [{ type: 'nofile', soft: 10, hard: -1 }] },
      }),
    ).process;
    assert.deepEqual(rlimits, [
      { type: 'RLIMIT_NOFILE', soft: 10, hard: -1 },
      { type: 'RLIMIT_CORE', soft: 0, hard: 0 },
    ]);
    // The monitor protects itself; a container must not inherit that.
    assert.equal(oomScoreAdj, 0);
  });

  it('should refuse a soft limit above the hard one, and unknown limits', () => {
    const limits = (type: string, soft: number, hard: number) =>
      containerSpec(specInput({ container: { rlimits: [{ type, soft, hard }] } }));
    assert.throws(() => limits('RLIMIT_NOFILE', 11, 10), /rlimits\[0\]\.soft/);
    assert.throws(() => limits('RLIMIT_NOFILE', -1, 10), /rlimits\[0\]\.soft/);
    assert.throws(() => limits('RLIMIT_FOO', 1, 1), /rlimits\[0\]\.type: "RLIMIT_FOO"/);
  });
});
