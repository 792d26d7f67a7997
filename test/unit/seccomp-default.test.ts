import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import type { SeccompSpec } from '../../src/native/types.ts';
import { DEFAULT_CAPABILITIES } from '../../src/spec/capabilities.ts';
import { defaultSeccomp } from '../../src/spec/default-seccomp.ts';
import { ALLOWED, BY_CAPABILITY } from '../../src/spec/seccomp-table.ts';

/** Names that are allowed whatever the arguments. */
function allowed(profile: SeccompSpec): Set<string> {
  return new Set(
    profile.syscalls
      .filter(({ action, args }) => action === 'SCMP_ACT_ALLOW' && args === undefined)
      .flatMap(({ names }) => names),
  );
}

function rules(profile: SeccompSpec, name: string) {
  return profile.syscalls.filter(({ names }) => names.includes(name));
}

/** Whether the rules of a name let these arguments through, as the kernel would judge. */
function permits(profile: SeccompSpec, name: string, args: bigint[]): boolean {
  return rules(profile, name).some(
    (rule) =>
      rule.action === 'SCMP_ACT_ALLOW' &&
      (rule.args ?? []).every(({ index, value, valueTwo, op }) => {
        const given = args[index] ?? 0n;
        switch (op) {
          case 'SCMP_CMP_EQ':
            return given === value;
          case 'SCMP_CMP_LT':
            return given < value;
          case 'SCMP_CMP_GT':
            return given > value;
          case 'SCMP_CMP_MASKED_EQ':
            return (given & value) === valueTwo;
          default:
            throw new Error(`no meaning for ${op}`);
        }
      }),
  );
}

const plain = defaultSeccomp(DEFAULT_CAPABILITIES, 'x64');

describe('default seccomp profile', () => {
  it('should refuse with EPERM what it does not know', () => {
    assert.equal(plain.defaultAction, 'SCMP_ACT_ERRNO');
    assert.equal(plain.defaultErrnoRet, 1);
    assert.deepEqual(plain.architectures, ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32']);
  });

  it('should name no call twice', () => {
    assert.equal(new Set(ALLOWED).size, ALLOWED.length);
    for (const [capability, names] of Object.entries(BY_CAPABILITY)) {
      for (const name of names) assert.ok(!ALLOWED.includes(name), `${capability} ${name}`);
    }
  });

  const kept = [
    'mount',
    'umount2',
    'unshare',
    'setns',
    'bpf',
    'perf_event_open',
    'keyctl',
    'add_key',
    'request_key',
    'userfaultfd',
    'kexec_load',
    'init_module',
    'reboot',
    'swapon',
    'io_uring_setup',
    'io_uring_enter',
    'io_uring_register',
    'open_by_handle_at',
    'fsopen',
    'fsmount',
    'move_mount',
    'open_tree',
    'open_tree_attr',
    'mount_setattr',
    'pivot_root',
    'quotactl',
    'syslog',
    'pidfd_getfd',
    'kcmp',
    'process_madvise',
    'move_pages',
    'mbind',
    'clock_settime',
    'iopl',
    'lookup_dcookie',
    'personality',
    'socket',
    'clone',
    'clone3',
  ];
  for (const name of kept) {
    it(`should not simply allow ${name}`, () => assert.ok(!allowed(plain).has(name)));
  }

  it('should allow new ways of doing what was allowed before', () => {
    const names = allowed(plain);
    for (const name of [
      'cachestat',
      'fchmodat2',
      'map_shadow_stack',
      'futex_wait',
      'futex_wake',
      'futex_requeue',
      'statmount',
      'listmount',
      'mseal',
      'setxattrat',
      'getxattrat',
      'listxattrat',
      'removexattrat',
      'uretprobe',
      'landlock_create_ruleset',
      'memfd_secret',
      'openat2',
      'rseq',
      'faccessat2',
    ]) {
      assert.ok(names.has(name), name);
    }
  });

  const gated: [string, string][] = [
    ['CAP_SYS_ADMIN', 'mount'],
    ['CAP_SYS_ADMIN', 'clone3'],
    ['CAP_SYS_ADMIN', 'open_tree_attr'],
    ['CAP_SYS_CHROOT', 'chroot'],
    ['CAP_SYS_PTRACE', 'pidfd_getfd'],
    ['CAP_BPF', 'bpf'],
    ['CAP_SYS_TIME', 'clock_settime'],
    ['CAP_SYS_NICE', 'mbind'],
    ['CAP_SYSLOG', 'syslog'],
    ['CAP_PERFMON', 'perf_event_open'],
    ['CAP_DAC_READ_SEARCH', 'open_by_handle_at'],
    ['CAP_SYS_BOOT', 'reboot'],
    ['CAP_SYS_RAWIO', 'iopl'],
    ['CAP_SYS_MODULE', 'finit_module'],
    ['CAP_SYS_PACCT', 'acct'],
    ['CAP_SYS_TTY_CONFIG', 'vhangup'],
  ];
  for (const [capability, name] of gated) {
    it(`should allow ${name} with ${capability} only`, () => {
      assert.ok(!allowed(defaultSeccomp([], 'x64')).has(name));
      assert.ok(allowed(defaultSeccomp([capability], 'x64')).has(name));
    });
  }

  it('should let clone make processes and threads but no namespaces', () => {
    const SIGCHLD = 17n;
    assert.ok(permits(plain, 'clone', [SIGCHLD]));
    assert.ok(permits(plain, 'clone', [0x3d0f00n]));
    for (const flag of [0x20000n, 0x2000000n, 0x4000000n, 0x8000000n, 0x10000000n, 0x20000000n]) {
      assert.ok(!permits(plain, 'clone', [flag | SIGCHLD]), flag.toString(16));
    }
    assert.ok(!permits(plain, 'clone', [0x40000000n]));
    const s390 = defaultSeccomp([], 's390x');
    assert.ok(!permits(s390, 'clone', [0n, 0x10000000n]));
    assert.ok(permits(s390, 'clone', [0x10000000n, SIGCHLD]));
  });

  it('should send callers of clone3 to clone', () => {
    const [rule, ...more] = rules(plain, 'clone3');
    assert.deepEqual([rule?.action, rule?.errnoRet, more.length], ['SCMP_ACT_ERRNO', 38, 0]);
  });

  it('should refuse sockets past the network namespace, and no others', () => {
    for (let domain = 0n; domain < 64n; domain += 1n) {
      const refused = domain === 38n || domain === 40n;
      assert.equal(permits(plain, 'socket', [domain, 1n, 0n]), !refused, `${domain}`);
    }
    assert.ok(permits(plain, 'socket', [0xffff_ffffn]));
  });

  it('should allow the harmless execution domains', () => {
    for (const value of [0n, 8n, 0x20000n, 0x20008n, 0xffffffffn]) {
      assert.ok(permits(plain, 'personality', [value]));
    }
    // ADDR_NO_RANDOMIZE and READ_IMPLIES_EXEC weaken what protects a program.
    assert.ok(!permits(plain, 'personality', [0x40000n]));
    assert.ok(!permits(plain, 'personality', [0x400000n]));
  });

  it('should have the calls of its architecture alone', () => {
    assert.ok(allowed(plain).has('arch_prctl'));
    const arm = allowed(defaultSeccomp([], 'arm64'));
    assert.ok(arm.has('cacheflush') && !arm.has('arch_prctl') && !arm.has('modify_ldt'));
  });

  it('should be one object for containers of one kind', () => {
    assert.equal(plain, defaultSeccomp([...DEFAULT_CAPABILITIES].reverse(), 'x64'));
    assert.notEqual(plain, defaultSeccomp(['CAP_BPF'], 'x64'));
  });
});

/**
 * Podman's list of 2022, as packaged by Debian, is the other profile in wide use. It allows more:
 * each difference is meant.
 */
const PODMAN = '/usr/share/containers/seccomp.json';
const MEANT: Record<string, string[]> = {
  'needs CAP_SYS_ADMIN here, since its use without it is in new user namespaces': [
    'fsconfig',
    'fsmount',
    'fsopen',
    'fspick',
    'mount',
    'mount_setattr',
    'move_mount',
    'open_tree',
    'setns',
    'umount',
    'umount2',
    'unshare',
  ],
  'is for a runtime inside the container': ['pivot_root'],
  'makes namespaces: allowed by its flags, or replaced': ['clone', 'clone3'],
  'reaches keys, which have no namespace': ['keyctl'],
  'needs its own capability here': [
    'get_mempolicy',
    'mbind',
    'set_mempolicy',
    'reboot',
    'syslog',
    'pidfd_getfd',
  ],
  'is a name of a C library, or of a call that Linux no longer has': [
    'readdir',
    'sigaction',
    'signal',
    'sigpending',
    'sigsuspend',
    'syscall',
    'timerfd',
  ],
};

describe('default seccomp profile beside another', () => {
  it('should allow what it allows but for the differences meant', (t) => {
    if (!existsSync(PODMAN)) {
      t.skip('golang-github-containers-common is not installed');
      return;
    }
    const other = JSON.parse(readFileSync(PODMAN, 'utf8')) as {
      syscalls: {
        names: string[];
        action: string;
        args?: unknown[];
        includes?: object;
        excludes?: object;
      }[];
    };
    const none = (value: object | undefined) => Object.keys(value ?? {}).length === 0;
    const theirs = other.syscalls
      .filter(
        ({ action, args, includes, excludes }) =>
          action === 'SCMP_ACT_ALLOW' && !args?.length && none(includes) && none(excludes),
      )
      .flatMap(({ names }) => names);
    assert.ok(theirs.length > 300);
    const ours = allowed(plain);
    const missing = theirs.filter((name) => !ours.has(name)).sort();
    assert.deepEqual(missing, Object.values(MEANT).flat().sort());
  });
});
