import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { NamespaceMode, SandboxConfig, SecurityConfig } from '../../src/spec/config.ts';
import { containerSpec, MASKED_PATHS, READONLY_PATHS } from '../../src/spec/container-spec.ts';
import type { ResolvedDevice } from '../../src/spec/host.ts';
import { pidMode } from '../../src/spec/namespaces.ts';
import { specJson } from '../../src/spec/oci.ts';
import { CONTAINER, SANDBOX, specInput } from '../helpers/spec-input.ts';

const PRIVILEGED = { sandbox: { privileged: true }, container: { security: { privileged: true } } };
const FUSE: ResolvedDevice = {
  containerPath: '/dev/fuse',
  type: 'c',
  major: 10,
  minor: 229,
  mode: 0o600,
  uid: 0,
  gid: 0,
  permissions: 'rw',
};

describe('security', () => {
  it('should mask and protect the default paths', () => {
    const { linux } = containerSpec(specInput());
    assert.deepEqual(linux.maskedPaths, MASKED_PATHS);
    assert.deepEqual(linux.readonlyPaths, READONLY_PATHS);
    assert.equal(linux.seccomp?.defaultAction, 'SCMP_ACT_ERRNO');
  });

  it('should take the lists that are given, empty ones too', () => {
    const security = { maskedPaths: [], readonlyPaths: ['/proc/../proc/bus/'] };
    const { linux } = containerSpec(specInput({ container: { security } }));
    assert.deepEqual(linux.maskedPaths, []);
    assert.deepEqual(linux.readonlyPaths, ['/proc/bus']);
  });

  it('should open everything to a privileged container', () => {
    const { linux, process } = containerSpec(specInput(PRIVILEGED));
    assert.deepEqual([linux.maskedPaths, linux.readonlyPaths, linux.seccomp], [[], [], undefined]);
    assert.deepEqual(linux.resources.devices, [{ allow: true, type: 'a', access: 'rwm' }]);
    assert.ok(process.capabilities.bounding.includes('CAP_SYS_ADMIN'));
    const paths = linux.devices.map(({ path }) => path);
    assert.ok(paths.includes('/dev/sda'));
    // The host's terminals would shadow those of the container's devpts.
    assert.ok(!paths.includes('/dev/ptmx'));
  });

  it('should refuse a privileged container in a pod that is not', () => {
    assert.throws(
      () => containerSpec(specInput({ container: { security: { privileged: true } } })),
      /security\.privileged/,
    );
  });

  it('should have no filter where none is wanted', () => {
    const security: SecurityConfig = { seccomp: { type: 'unconfined' } };
    assert.equal(containerSpec(specInput({ container: { security } })).linux.seccomp, undefined);
  });

  it('should take a profile from a file, for the capabilities of the container', () => {
    const security: SecurityConfig = {
      seccomp: { type: 'localhost', path: '/p.json' },
      dropCapabilities: ['CHOWN'],
    };
    const text = JSON.stringify({
      defaultAction: 'SCMP_ACT_ALLOW',
      syscalls: [
        { names: ['chown'], action: 'SCMP_ACT_ERRNO', excludes: { caps: ['CAP_CHOWN'] } },
        { names: ['kill'], action: 'SCMP_ACT_ERRNO', excludes: { caps: ['CAP_KILL'] } },
      ],
    });
    const { linux } = containerSpec(
      specInput({ container: { security }, rest: { seccompFile: { path: '/p.json', text } } }),
    );
    assert.deepEqual(
      linux.seccomp?.syscalls.map(({ names }) => names),
      [['chown']],
    );
  });

  it('should never go without a profile that was not read', () => {
    const security: SecurityConfig = { seccomp: { type: 'localhost', path: '/p.json' } };
    assert.throws(() => containerSpec(specInput({ container: { security } })), /was not read/);
  });

  it('should be JSON, although a filter has 64-bit arguments', () => {
    const back = JSON.parse(specJson(containerSpec(specInput())));
    assert.equal(back.linux.seccomp.defaultErrnoRet, 1);
  });
});

describe('devices', () => {
  it('should deny all, then allow what there is', () => {
    const { linux } = containerSpec(specInput({ rest: { devices: [FUSE] } }));
    const rules = linux.resources.devices ?? [];
    assert.deepEqual(rules[0], { allow: false, type: 'a', access: 'rwm' });
    assert.ok(rules.slice(1).every(({ allow }) => allow));
    assert.deepEqual(rules.at(-1), { allow: true, type: 'c', major: 10, minor: 229, access: 'rw' });
    for (const [major, minor] of [
      [1, 3],
      [1, 5],
      [1, 7],
      [1, 8],
      [1, 9],
      [5, 0],
      [5, 2],
    ]) {
      assert.ok(rules.some((rule) => rule.major === major && rule.minor === minor));
    }
    assert.deepEqual(
      linux.devices.map(({ path }) => path),
      [
        '/dev/null',
        '/dev/zero',
        '/dev/full',
        '/dev/random',
        '/dev/urandom',
        '/dev/tty',
        '/dev/fuse',
      ],
    );
  });

  it('should let an asked one replace a default one', () => {
    const other = { ...FUSE, containerPath: '/dev/null' };
    const { linux } = containerSpec(specInput({ rest: { devices: [other] } }));
    assert.deepEqual(
      linux.devices.filter(({ path }) => path === '/dev/null').map((d) => d.major),
      [10],
    );
  });

  it('should name a device of no use', () => {
    const one = (change: Partial<ResolvedDevice>) =>
      containerSpec(specInput({ rest: { devices: [{ ...FUSE, ...change }] } }));
    assert.throws(() => one({ permissions: 'x' }), /devices\[0\]\.permissions: "x"/);
    assert.throws(() => one({ containerPath: '/dev/../etc' }), /devices\[0\]\.containerPath/);
  });
});

describe('namespaces', () => {
  const of = (namespaces: SandboxConfig['namespaces'], security: SecurityConfig = {}) =>
    containerSpec(
      specInput({
        sandbox: { namespaces: namespaces ?? {}, privileged: true },
        container: { security },
        rest: { pod: { monitor: 7, reaper: 8, target: 9 } },
      }),
    ).linux.namespaces;

  it("should be the pod's but for mounts, processes and cgroup", () => {
    assert.deepEqual(of({}), [
      { type: 'mount' },
      { type: 'pid' },
      { type: 'ipc', path: '/proc/7/ns/ipc' },
      { type: 'network', path: '/proc/7/ns/net' },
      { type: 'uts', path: '/proc/7/ns/uts' },
      { type: 'cgroup' },
    ]);
  });

  it("should leave out the host's", () => {
    assert.deepEqual(
      of({ network: 'node', ipc: 'node', pid: 'node' }).map(({ type }) => type),
      ['mount', 'cgroup'],
    );
  });

  it("should join the pod's and a target's processes", () => {
    const pid = (list: ReturnType<typeof of>) => list.find(({ type }) => type === 'pid')?.path;
    assert.equal(pid(of({ pid: 'pod' })), '/proc/8/ns/pid');
    assert.equal(pid(of({}, { pid: 'target', targetId: 'abc' })), '/proc/9/ns/pid');
  });

  const modes: [SandboxConfig['namespaces'], NamespaceMode | undefined, string][] = [
    [undefined, undefined, 'new'],
    [{ pid: 'pod' }, undefined, 'pod'],
    [{ pid: 'node' }, undefined, 'host'],
    [{ pid: 'pod' }, 'container', 'new'],
    [undefined, 'node', 'host'],
  ];
  for (const [namespaces, pid, expected] of modes) {
    it(`should be ${expected} for ${namespaces?.pid} and ${pid}`, () => {
      const sandbox = namespaces === undefined ? SANDBOX : { ...SANDBOX, namespaces };
      const security = pid === undefined ? {} : { pid };
      assert.equal(pidMode(sandbox, { ...CONTAINER, security }), expected);
    });
  }

  it('should refuse processes of a pod that shares none, and a target without a name', () => {
    const mode = (pid: NamespaceMode) => pidMode(SANDBOX, { ...CONTAINER, security: { pid } });
    assert.throws(() => mode('pod'), /security\.pid/);
    assert.throws(() => mode('target'), /security\.targetId/);
  });

  it('should leave a privileged container the cgroups of a v2 host', () => {
    const { linux } = containerSpec(specInput({ ...PRIVILEGED, host: { cgroup: 'v2' } }));
    assert.ok(!linux.namespaces.some(({ type }) => type === 'cgroup'));
  });
});

describe('resources', () => {
  const of = (resources: object) =>
    containerSpec(specInput({ container: { resources } })).linux.resources;

  it('should be left out where they are absent or 0', () => {
    const { devices, ...rest } = of({ cpuShares: 0, memoryLimit: 0, unified: {} });
    assert.ok(devices);
    assert.deepEqual(rest, {});
  });

  it('should let a container swap only where it is allowed to', () => {
    assert.deepEqual(of({ memoryLimit: 1000 }).memory, { limit: 1000, swap: 1000 });
    assert.deepEqual(of({ memoryLimit: 1000, memorySwapLimit: 3000 }).memory, {
      limit: 1000,
      swap: 3000,
    });
    assert.deepEqual(of({ memoryLimit: 1000, memorySwapLimit: -1 }).memory, {
      limit: 1000,
      swap: -1,
    });
    assert.deepEqual(of({ memoryLimit: -1 }).memory, { limit: -1 });
  });

  it('should be carried over', () => {
    const { devices: _devices, ...rest } = of({
      cpuShares: 512,
      cpuQuota: 20000,
      cpuPeriod: 100000,
      cpusetCpus: '0-1',
      cpusetMems: '0',
      pidsLimit: 10,
      hugepageLimits: [{ pageSize: '2MB', limit: 0 }],
      unified: { 'memory.high': '1' },
    });
    assert.deepEqual(rest, {
      cpu: { shares: 512, quota: 20000, period: 100000, cpus: '0-1', mems: '0' },
      pids: { limit: 10 },
      hugepageLimits: [{ pageSize: '2MB', limit: 0 }],
      unified: { 'memory.high': '1' },
    });
  });

  const bad: [string, object, RegExp][] = [
    ['a file elsewhere', { unified: { 'a/b': '1' } }, /resources\.unified\["a\/b"\]/],
    ['a file above', { unified: { '..': '1' } }, /resources\.unified/],
    ['moving processes', { unified: { 'cgroup.procs': '1' } }, /resources\.unified/],
    ['handing controllers on', { unified: { 'cgroup.subtree_control': '+cpu' } }, /unified/],
    ['swap below memory', { memoryLimit: 10, memorySwapLimit: 5 }, /memorySwapLimit: 5/],
    ['a short period', { cpuPeriod: 10 }, /cpuPeriod: 10/],
    ['a page size', { hugepageLimits: [{ pageSize: '2M', limit: 1 }] }, /pageSize: "2M"/],
    ['a CPU list', { cpusetCpus: 'all' }, /cpusetCpus: "all"/],
    ['half a byte', { memoryLimit: 0.5 }, /memoryLimit: 0\.5/],
    ['a score', { oomScoreAdj: 1001 }, /oomScoreAdj: 1001/],
  ];
  for (const [name, resources, message] of bad) {
    it(`should refuse ${name}`, () => assert.throws(() => of(resources), message));
  }
});
