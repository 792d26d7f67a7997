import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { addon } from '../../src/native/addon.ts';
import type { LaunchPlan, Step } from '../../src/native/types.ts';

const execve: Step = { op: 'execve', argv: ['true'], env: [] };

function plan(steps: unknown[], changes: Record<string, unknown> = {}): LaunchPlan {
  return {
    id: 'c1',
    parent: '',
    exec: false,
    cloneFlags: 0,
    pidMode: 'new',
    terminal: false,
    intoCgroup: '',
    killCgroup: '',
    killCgroupOnExit: false,
    steps: steps as Step[],
    ...changes,
  };
}

describe('preparePlan', () => {
  it('should accept every kind of step', () => {
    const steps: Step[] = [
      { op: 'joinCgroup', file: '/sys/fs/cgroup/cpu/tasks' },
      { op: 'unshare', flags: 0x02000000 },
      { op: 'joinNamespaces', flags: 0x40000000 },
      { op: 'hostname', name: 'pod' },
      { op: 'overlay', lower: ['layers/b', 'layers/a'], upper: 'u', work: 'w', options: '' },
      { op: 'rootBind', source: '/' },
      { op: 'mount', type: 'proc', source: 'proc', target: '/proc', attributes: 14, options: '' },
      {
        op: 'bind',
        source: '/etc/hosts',
        recursive: true,
        target: '/etc/hosts',
        attributesSet: 1,
        attributesClear: 0,
        recursiveAttributes: false,
        propagation: 1 << 18,
      },
      { op: 'podShm', target: '/dev/shm' },
      { op: 'mkdir', target: '/x', mode: 0o755, uid: 0, gid: 0 },
      { op: 'mknod', target: '/dev/null', mode: 0o20666, major: 1, minor: 3, uid: 0, gid: 0 },
      { op: 'symlink', content: '/proc/self/fd', target: '/dev/fd' },
      { op: 'console', rows: 24, cols: 80, bindConsole: true },
      { op: 'pivot', readonly: false },
      { op: 'mask', target: '/proc/kcore' },
      { op: 'readonlyPath', target: '/proc/sys' },
      { op: 'sysctl', name: 'net.ipv4.ip_forward', value: '1' },
      { op: 'rlimit', resource: 7, soft: 1024n, hard: 2n ** 64n - 1n, clamp: true },
      { op: 'oomScoreAdj', value: -999 },
      { op: 'user', user: 'nobody', group: '', mergeGroups: true, extraGroups: [1, 2] },
      {
        op: 'capabilities',
        bounding: 1n,
        effective: 1n,
        permitted: 1n,
        inheritable: 0n,
        ambient: 0n,
      },
      { op: 'noNewPrivs' },
      { op: 'seccomp', program: new Uint8Array(16), flags: 0 },
      { op: 'cwd', path: '/', create: false },
      { op: 'umask', mask: 0o22 },
      execve,
    ];
    const small = addon.preparePlan(plan([execve]));
    const all = addon.preparePlan(plan(steps));
    assert.ok(all.bytes > small.bytes + 400, `${all.bytes} bytes`);
  });

  const wrong: [what: string, plan: unknown, message: RegExp][] = [
    ['no object', 7, /^plan must be an object$/],
    ['a missing id', plan([execve], { id: undefined }), /^plan\.id must be a string$/],
    ['a NUL byte', plan([execve], { id: 'a\0b' }), /^plan\.id must be a string without NUL/],
    ['a negative number', plan([execve], { cloneFlags: -1 }), /^plan\.cloneFlags must be an int/],
    ['a fraction', plan([execve], { cloneFlags: 1.5 }), /^plan\.cloneFlags must be an integer/],
    ['a pid mode', plan([execve], { pidMode: 'x' }), /^plan\.pidMode must be 'new', 'pod'/],
    ['no steps', plan([]), /^plan\.steps must be a list that ends with an execve step$/],
    ['steps that are no list', plan([], { steps: {} }), /^plan\.steps must be an array$/],
    ['an unknown step', plan([{ op: 'dance' }, execve]), /^plan\.steps\[0\]\.op must be .*'dance'/],
    ['execve in the middle', plan([execve, execve]), /^plan\.steps\[0\] must be no execve step/],
    ['no execve at the end', plan([{ op: 'noNewPrivs' }]), /^plan\.steps\[0\] must be an execve/],
    [
      'a wrong element of a list',
      plan([{ op: 'execve', argv: ['a', 3], env: [] }]),
      /^plan\.steps\[0\]\.argv\[1\] must be a string$/,
    ],
    [
      'a number for a bigint',
      plan([{ op: 'rlimit', resource: 7, soft: 1, hard: 1n, clamp: true }, execve]),
      /^plan\.steps\[0\]\.soft must be a bigint/,
    ],
    [
      'a bigint beyond 64 bits',
      plan([{ op: 'rlimit', resource: 7, soft: 2n ** 64n, hard: 1n, clamp: true }, execve]),
      /^plan\.steps\[0\]\.soft must be a bigint/,
    ],
    [
      'half an instruction',
      plan([{ op: 'seccomp', program: new Uint8Array(9), flags: 0 }, execve]),
      /^plan\.steps\[0\]\.program must be 1 to 4096 instructions/,
    ],
  ];
  for (const [what, value, message] of wrong) {
    it(`should name the field that holds ${what}`, () => {
      assert.throws(() => addon.preparePlan(value as LaunchPlan), {
        name: 'TypeError',
        message,
      });
    });
  }

  it('should survive a getter that throws', () => {
    const hostile = plan([execve]);
    Object.defineProperty(hostile, 'parent', {
      get() {
        throw new RangeError('mine');
      },
    });
    assert.throws(() => addon.preparePlan(hostile), { name: 'RangeError', message: 'mine' });
  });
});
