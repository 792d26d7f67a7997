import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { FileOp } from '../../src/native/types.ts';
import { cgroupCreateOps, cgroupRemoveOps, cgroupUpdateOps } from '../../src/runtime/cgroup/ops.ts';
import { cpuWeight, deviceProgramRules } from '../../src/runtime/cgroup/v2.ts';
import { deviceRules } from '../../src/spec/devices.ts';
import type { Resources } from '../../src/spec/oci.ts';
import { HYBRID, V1, V2 } from '../helpers/cgroup-layouts.ts';

const PATH = '/pods/p/c';
const SEED = { from: '/pods', cpus: '0-1', mems: '0' };

/** "file=value" of every write below this directory, "?" where it may fail. */
function writes(ops: FileOp[], dir: string): string[] {
  return ops.flatMap((op) =>
    op.op === 'write' &&
    op.path.startsWith(`${dir}/`) &&
    !op.path.slice(dir.length + 1).includes('/')
      ? [`${op.path.slice(dir.length + 1)}=${op.value}${op.optional ? '?' : ''}`]
      : [],
  );
}

const v1 = (resources: Resources, controller: string) =>
  writes(cgroupCreateOps(V1, PATH, resources, SEED), `/sys/fs/cgroup/${controller}${PATH}`);
const v2 = (resources: Resources) =>
  writes(cgroupCreateOps(V2, PATH, resources), `/sys/fs/cgroup${PATH}`);

describe('cgroup v1', () => {
  const cases: [string, Resources, string[]][] = [
    ['cpu,cpuacct', { cpu: { shares: 512 } }, ['cpu.shares=512']],
    [
      'cpu,cpuacct',
      { cpu: { quota: 5000, period: 10000 } },
      ['cpu.cfs_period_us=10000?', 'cpu.cfs_quota_us=5000', 'cpu.cfs_period_us=10000'],
    ],
    ['cpu,cpuacct', { cpu: { quota: -1 } }, ['cpu.cfs_quota_us=-1']],
    [
      'memory',
      { memory: { limit: 10, swap: 20 } },
      ['memory.limit_in_bytes=10', 'memory.memsw.limit_in_bytes=20?'],
    ],
    ['pids', { pids: { limit: 5 } }, ['pids.max=5']],
    ['pids', { pids: { limit: -1 } }, ['pids.max=max']],
    ['memory', {}, []],
  ];
  for (const [controller, resources, expected] of cases) {
    it(`should write ${JSON.stringify(resources)} to ${controller}`, () => {
      assert.deepEqual(v1(resources, controller), expected);
    });
  }

  it('should deny every device before it allows some', () => {
    const fuse = { containerPath: '/dev/fuse', type: 'c', major: 10, minor: 229 } as const;
    const asked = [{ ...fuse, mode: 0, uid: 0, gid: 0, permissions: 'rw' }];
    const lines = v1({ devices: deviceRules(asked, false) }, 'devices');
    assert.equal(lines[0], 'devices.deny=a');
    assert.deepEqual(lines.slice(1, 4), [
      'devices.allow=c *:* m',
      'devices.allow=b *:* m',
      'devices.allow=c 1:3 rwm',
    ]);
    assert.ok(lines.includes('devices.allow=c 136:* rwm'));
    assert.equal(lines.at(-1), 'devices.allow=c 10:229 rw');
  });

  it('should leave a privileged container what its parent may use', () => {
    assert.deepEqual(v1({ devices: deviceRules([], true) }, 'devices'), []);
  });

  it('should fill every new level of a cpuset, which none can join empty', () => {
    const ops = cgroupCreateOps(V1, PATH, { cpu: { cpus: '1' } }, SEED);
    const dir = '/sys/fs/cgroup/cpuset/pods';
    assert.deepEqual(writes(ops, dir), []);
    assert.deepEqual(writes(ops, `${dir}/p`), ['cpuset.mems=0', 'cpuset.cpus=0-1']);
    assert.deepEqual(writes(ops, `${dir}/p/c`), [
      'cpuset.mems=0',
      'cpuset.cpus=0-1',
      'cpuset.cpus=1',
    ]);
  });

  it('should make a directory in every hierarchy before it writes there', () => {
    for (const layout of [V1, HYBRID, V2]) {
      const made = new Set<string>();
      for (const op of cgroupCreateOps(layout, PATH, { pids: { limit: 1 } }, SEED)) {
        if (op.op === 'mkdir') made.add(op.path);
        if (op.op !== 'write' || op.path.endsWith('cgroup.subtree_control')) continue;
        assert.ok(made.has(op.path.slice(0, op.path.lastIndexOf('/'))), op.path);
      }
      const removed = cgroupRemoveOps(layout, PATH).map((op) => op.path);
      assert.equal(removed.length, layout.v1.length + (layout.v2 ? 1 : 0));
      for (const path of removed) assert.ok(made.has(path), path);
    }
  });

  it('should raise the total before the limit passes it, and lower the limit first', () => {
    const update = (from: Resources['memory'], to: Resources['memory']) =>
      writes(
        cgroupUpdateOps(V1, PATH, { memory: to ?? {} }, { memory: from ?? {} }),
        `/sys/fs/cgroup/memory${PATH}`,
      ).map((line) => line.replace('?', ''));
    const raise = ['memory.memsw.limit_in_bytes=30', 'memory.limit_in_bytes=30'];
    const lower = ['memory.limit_in_bytes=5', 'memory.memsw.limit_in_bytes=5'];
    assert.deepEqual(update({ limit: 10, swap: 10 }, { limit: 30, swap: 30 }), raise);
    assert.deepEqual(update({ limit: 10, swap: 10 }, { limit: 5, swap: 5 }), lower);
    assert.deepEqual(update({}, { limit: 5, swap: 5 }), lower);
    assert.deepEqual(update({ limit: 5, swap: 5 }, { limit: -1, swap: -1 }), [
      'memory.memsw.limit_in_bytes=-1',
      'memory.limit_in_bytes=-1',
    ]);
  });

  it('should keep the limit at or below the total at every moment', () => {
    const size = fc.integer({ min: 1, max: 100 });
    fc.assert(
      fc.property(size, size, size, size, (limit, more, nextLimit, nextMore) => {
        const from = { limit, swap: limit + more };
        const to = { limit: nextLimit, swap: nextLimit + nextMore };
        const now = { limit: from.limit, memsw: from.swap };
        for (const op of cgroupUpdateOps(V1, PATH, { memory: to }, { memory: from })) {
          assert.ok(op.op === 'write');
          if (op.path.endsWith('memsw.limit_in_bytes')) now.memsw = Number(op.value);
          else now.limit = Number(op.value);
          assert.ok(now.limit <= now.memsw, JSON.stringify({ from, to, now }));
        }
      }),
    );
  });
});

describe('cgroup v2', () => {
  const cases: [Resources, string[]][] = [
    [{ cpu: { shares: 1024 } }, ['cpu.weight=100']],
    [{ cpu: { quota: 5000, period: 10000 } }, ['cpu.max=5000 10000']],
    [{ cpu: { quota: -1 } }, ['cpu.max=max 100000?']],
    [{ cpu: { period: 50000 } }, ['cpu.max=max 50000?']],
    [{ cpu: { cpus: '0', mems: '0' } }, ['cpuset.cpus=0', 'cpuset.mems=0']],
    [{ memory: { limit: 10, swap: 30 } }, ['memory.max=10', 'memory.swap.max=20?']],
    [{ memory: { limit: 10, swap: 10 } }, ['memory.max=10', 'memory.swap.max=0?']],
    [{ memory: { limit: 10, swap: -1 } }, ['memory.max=10', 'memory.swap.max=max?']],
    [{ memory: { limit: -1 } }, ['memory.max=max?']],
    [{ pids: { limit: 7 } }, ['pids.max=7']],
    [{ pids: { limit: 0 } }, ['pids.max=max?']],
    [
      { hugepageLimits: [{ pageSize: '2MB', limit: 0 }] },
      ['hugetlb.2MB.max=0?', 'hugetlb.2MB.rsvd.max=0?'],
    ],
    [
      { unified: { 'memory.high': '5', 'memory.oom.group': '1' } },
      ['memory.high=5', 'memory.oom.group=1'],
    ],
    [{ unified: { 'cgroup.max.depth': '3' } }, ['cgroup.max.depth=3']],
  ];
  for (const [resources, expected] of cases) {
    it(`should write ${JSON.stringify(resources)}`, () =>
      assert.deepEqual(v2(resources), expected));
  }

  it('should hand the controllers down to the last parent, and not into the container', () => {
    const ops = cgroupCreateOps(V2, PATH, {});
    const handed = ops.flatMap((op) =>
      op.op === 'write' && op.path.endsWith('/cgroup.subtree_control')
        ? [`${op.path} ${op.value}`]
        : [],
    );
    const others = '+cpuset +io +memory +pids +hugetlb';
    assert.deepEqual(
      handed,
      ['', '/pods', '/pods/p'].flatMap((dir) =>
        ['+cpu', others].map((value) => `/sys/fs/cgroup${dir}/cgroup.subtree_control ${value}`),
      ),
    );
  });

  it('should weigh the ends and the default as v1 does, and never less for more', () => {
    assert.deepEqual([1, 2, 1024, 262144, 999999].map(cpuWeight), [1, 1, 100, 10000, 10000]);
    const shares = fc.integer({ min: 2, max: 262144 });
    fc.assert(
      fc.property(shares, shares, (a, b) => {
        const [low, high] = [cpuWeight(Math.min(a, b)), cpuWeight(Math.max(a, b))];
        assert.ok(low <= high && low >= 1 && high <= 10000 && Number.isInteger(low));
      }),
    );
  });

  it('should turn the device rules to those of a program', () => {
    assert.deepEqual(
      deviceProgramRules([
        { allow: false, type: 'a', access: 'rwm' },
        { allow: true, type: 'c', major: 136, access: 'rw' },
      ]),
      [
        { allow: false, type: 'a', major: -1, minor: -1, access: 'rwm' },
        { allow: true, type: 'c', major: 136, minor: -1, access: 'rw' },
      ],
    );
  });
});

describe('limits and the host', () => {
  it('should go to the hierarchy that has the controller', () => {
    const ops = cgroupCreateOps(
      HYBRID,
      PATH,
      { pids: { limit: 1 }, hugepageLimits: [{ pageSize: '2MB', limit: 8 }] },
      SEED,
    );
    assert.deepEqual(writes(ops, `/sys/fs/cgroup/pids${PATH}`), ['pids.max=1']);
    assert.deepEqual(writes(ops, `/sys/fs/cgroup/unified${PATH}`), [
      'hugetlb.2MB.max=8',
      'hugetlb.2MB.rsvd.max=8?',
    ]);
  });

  it('should be refused where the host cannot keep them', () => {
    const make = (resources: Resources) => () =>
      cgroupCreateOps(
        { mode: 'v2', v1: [], v2: { root: '/c', controllers: ['cpu'] } },
        PATH,
        resources,
      );
    assert.throws(make({ memory: { limit: 1 } }), /resources\.memoryLimit: .* no memory cgroup/);
    assert.throws(make({ pids: { limit: 1 } }), /resources\.pidsLimit/);
    assert.throws(
      make({ unified: { 'memory.high': '1' } }),
      /resources\.unified\["memory\.high"\]/,
    );
    assert.doesNotThrow(make({ hugepageLimits: [{ pageSize: '2MB', limit: 0 }] }));
    assert.throws(make({ hugepageLimits: [{ pageSize: '2MB', limit: 1 }] }), /hugepageLimits/);
    assert.throws(
      () => cgroupCreateOps(V1, PATH, { unified: { 'memory.high': '1' } }, SEED),
      /resources\.unified/,
    );
  });
});
