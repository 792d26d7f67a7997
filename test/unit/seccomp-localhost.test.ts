import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import type { Arch } from '../../src/spec/host.ts';
import { localhostSeccomp } from '../../src/spec/localhost-seccomp.ts';

function parse(
  profile: unknown,
  capabilities: string[] = [],
  host: { arch: Arch; kernel: [number, number] } = { arch: 'x64', kernel: [6, 1] },
) {
  const text = typeof profile === 'string' ? profile : JSON.stringify(profile);
  return localhostSeccomp({ path: '/p.json', text }, capabilities, host);
}

const rule = (name: string, more: object = {}) => ({
  names: [name],
  action: 'SCMP_ACT_ALLOW',
  ...more,
});

describe('localhost seccomp profile', () => {
  it('should be taken over whole', () => {
    const spec = parse({
      defaultAction: 'SCMP_ACT_ERRNO',
      defaultErrnoRet: 38,
      architectures: ['SCMP_ARCH_X86_64'],
      flags: ['SECCOMP_FILTER_FLAG_LOG'],
      listenerPath: '',
      syscalls: [
        rule('read', {
          errnoRet: 5,
          args: [{ index: 1, value: 4294967295, op: 'SCMP_CMP_EQ' }],
        }),
        { name: 'write', action: 'SCMP_ACT_LOG' },
      ],
    });
    assert.deepEqual(spec, {
      defaultAction: 'SCMP_ACT_ERRNO',
      defaultErrnoRet: 38,
      architectures: ['SCMP_ARCH_X86_64'],
      flags: ['SECCOMP_FILTER_FLAG_LOG'],
      syscalls: [
        {
          names: ['read'],
          action: 'SCMP_ACT_ALLOW',
          errnoRet: 5,
          args: [{ index: 1, value: 4294967295n, valueTwo: 0n, op: 'SCMP_CMP_EQ' }],
        },
        { names: ['write'], action: 'SCMP_ACT_LOG' },
      ],
    });
  });

  it('should read an archMap for the own architecture', () => {
    const archMap = [
      { architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['SCMP_ARCH_X86', 'SCMP_ARCH_X32'] },
      { architecture: 'SCMP_ARCH_AARCH64', subArchitectures: null },
    ];
    const of = (arch: Arch) =>
      parse({ defaultAction: 'SCMP_ACT_ALLOW', archMap }, [], { arch, kernel: [6, 1] })
        .architectures;
    assert.deepEqual(of('x64'), ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32']);
    assert.deepEqual(of('arm64'), ['SCMP_ARCH_AARCH64']);
    assert.deepEqual(of('riscv64'), ['SCMP_ARCH_RISCV64']);
  });

  const conditions: [string, object, boolean][] = [
    ['all capabilities', { includes: { caps: ['CAP_A', 'CAP_B'] } }, true],
    ['a capability that is missing', { includes: { caps: ['CAP_A', 'CAP_C'] } }, false],
    ['the absence of a capability', { excludes: { caps: ['CAP_C'] } }, true],
    ['no excluded capability', { excludes: { caps: ['CAP_A'] } }, false],
    ['the architecture', { includes: { arches: ['amd64', 's390x'] } }, true],
    ['a sub-architecture', { includes: { arches: ['x32'] } }, true],
    ['another architecture', { includes: { arches: ['arm64'] } }, false],
    ['no excluded architecture', { excludes: { arches: ['amd64'] } }, false],
    ['an older kernel', { includes: { minKernel: '4.8' } }, true],
    ['this kernel', { includes: { minKernel: '6.1' } }, true],
    ['a newer kernel', { includes: { minKernel: '6.10' } }, false],
    ['empty conditions', { includes: {}, excludes: { caps: null } }, true],
  ];
  for (const [name, more, holds] of conditions) {
    it(`should ${holds ? '' : 'not '}apply a rule for ${name}`, () => {
      const profile = { defaultAction: 'SCMP_ACT_ERRNO', syscalls: [rule('read', more)] };
      assert.equal(parse(profile, ['CAP_A', 'CAP_B']).syscalls.length, holds ? 1 : 0);
    });
  }

  const malformed: [string, unknown, RegExp][] = [
    ['text', '{', /\/p\.json: is not JSON/],
    ['no action', {}, /\/p\.json: defaultAction: /],
    ['an unknown action', { defaultAction: 'ALLOW' }, /\/p\.json: defaultAction: .*"ALLOW"/],
    [
      'a list of rules that is none',
      { defaultAction: 'SCMP_ACT_ALLOW', syscalls: 1 },
      /: syscalls: /,
    ],
    [
      'an unknown comparison',
      {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [rule('a'), rule('b', { args: [{ index: 0, value: 0, op: 'EQ' }] })],
      },
      /: syscalls\.1\.args\.0\.op: /,
    ],
    [
      'a seventh argument',
      {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [rule('b', { args: [{ index: 6, value: 0, op: 'SCMP_CMP_EQ' }] })],
      },
      /: syscalls\.0\.args\.0\.index: /,
    ],
    [
      'a rule without names',
      { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ action: 'SCMP_ACT_ALLOW' }] },
      /: syscalls\[0\]\.names: is empty/,
    ],
    [
      'two lists of architectures',
      {
        defaultAction: 'SCMP_ACT_ALLOW',
        architectures: ['SCMP_ARCH_X86'],
        archMap: [{ architecture: 'SCMP_ARCH_X86_64' }],
      },
      /: archMap: /,
    ],
    ['an array', [], /\/p\.json: /],
  ];
  for (const [name, profile, message] of malformed) {
    it(`should name the field of ${name}`, () => assert.throws(() => parse(profile), message));
  }

  it("should read a distribution's profile", (t) => {
    const path = '/usr/share/containers/seccomp.json';
    if (!existsSync(path)) {
      t.skip('golang-github-containers-common is not installed');
      return;
    }
    const spec = parse(readFileSync(path, 'utf8'), ['CAP_SYS_CHROOT']);
    const allowed = spec.syscalls.filter(({ action }) => action === 'SCMP_ACT_ALLOW');
    assert.ok(allowed.some(({ names }) => names.includes('chroot')));
    assert.ok(!allowed.some(({ names }) => names.includes('init_module')));
  });
});
