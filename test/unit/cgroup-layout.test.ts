import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parseCgroupMounts, readCgroupLayout } from '../../src/runtime/cgroup/layout.ts';
import {
  cgroupDirs,
  containerCgroup,
  intoCgroup,
  joinFiles,
  killFile,
  ownsPodCgroup,
  podCgroup,
} from '../../src/runtime/cgroup/paths.ts';
import { HYBRID, V1, V2 } from '../helpers/cgroup-layouts.ts';

const OTHERS = `22 27 0:21 / /proc rw,relatime - proc proc rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755`;
const CONTROLLERS = `32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd`;

describe('cgroup layout', () => {
  it('should find the v1 hierarchies', () => {
    assert.deepEqual(parseCgroupMounts(`${OTHERS}\n${CONTROLLERS}\n`), {
      v1: [
        { root: '/sys/fs/cgroup/cpu,cpuacct', controllers: ['cpu', 'cpuacct'] },
        { root: '/sys/fs/cgroup/memory', controllers: ['memory'] },
        { root: '/sys/fs/cgroup/systemd', controllers: ['name=systemd'] },
      ],
      v2: undefined,
    });
  });

  it('should take the first mount of a hierarchy that has several', () => {
    const again = `50 1 0:32 / /mnt/memory rw - cgroup cgroup rw,memory
51 1 0:40 / /a\\040b rw - cgroup2 cgroup2 rw,nsdelegate
52 1 0:40 / /other rw - cgroup2 cgroup2 rw`;
    const { v1, v2 } = parseCgroupMounts(`${CONTROLLERS}\n${again}`);
    assert.deepEqual(v1.filter(({ controllers }) => controllers.includes('memory')).length, 1);
    assert.equal(v2, '/a b');
  });

  it('should tell v1, v2 and both apart', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'coracle-layout-'));
    try {
      const info = join(dir, 'mountinfo');
      await writeFile(join(dir, 'cgroup.controllers'), 'cpu memory pids\n');
      const v2 = `41 31 0:38 / ${dir} rw - cgroup2 cgroup2 rw`;
      const read = async (text: string) => {
        await writeFile(info, text);
        return readCgroupLayout(info);
      };
      assert.equal((await read(CONTROLLERS)).mode, 'v1');
      assert.equal((await read(`${CONTROLLERS}\n${v2}`)).mode, 'hybrid');
      assert.deepEqual(await read(v2), {
        mode: 'v2',
        v1: [],
        v2: { root: dir, controllers: ['cpu', 'memory', 'pids'] },
      });
      await assert.rejects(read(OTHERS), /no cgroup hierarchy/);
    } finally {
      await rm(dir, { recursive: true });
    }
  });
});

describe('cgroup paths', () => {
  it('should be below a parent of ours, or below the one that is named', () => {
    assert.equal(podCgroup({}, 'pod1'), '/coracle/pod1');
    assert.equal(
      podCgroup({ cgroupParent: '/kubepods//burstable/podX/' }, 'pod1'),
      '/kubepods/burstable/podX',
    );
    assert.equal(containerCgroup('/kubepods/podX', 'c1'), '/kubepods/podX/c1');
    assert.ok(ownsPodCgroup({}));
    assert.ok(!ownsPodCgroup({ cgroupParent: '/kubepods/podX' }));
  });

  for (const parent of ['kubepods-podX.slice', '/a/../b', '/a/./b', 'x', '/a\nb']) {
    it(`should refuse the parent ${JSON.stringify(parent)}`, () => {
      assert.throws(
        () => podCgroup({ cgroupParent: parent }, 'p'),
        /^CoracleError: cgroupParent: /,
      );
    });
  }

  it('should join every v1 hierarchy by its tasks file', () => {
    assert.deepEqual(joinFiles(V2, '/p/c'), []);
    assert.equal(joinFiles(HYBRID, '/p/c')[0], '/sys/fs/cgroup/cpu,cpuacct/p/c/tasks');
    assert.equal(joinFiles(HYBRID, '/p/c').length, 6);
  });

  it('should clone into v2 and kill through it where it is', () => {
    assert.deepEqual(
      [V1, HYBRID, V2].map((layout) => intoCgroup(layout, '/p/c')),
      ['', '/sys/fs/cgroup/unified/p/c', '/sys/fs/cgroup/p/c'],
    );
    assert.deepEqual(
      [V1, HYBRID, V2].map((layout) => killFile(layout, '/p/c')),
      [
        '/sys/fs/cgroup/pids/p/c/cgroup.procs',
        '/sys/fs/cgroup/unified/p/c/cgroup.kill',
        '/sys/fs/cgroup/p/c/cgroup.kill',
      ],
    );
  });

  it('should find where a controller is', () => {
    assert.deepEqual(cgroupDirs(HYBRID, '/p', 'hugetlb'), ['/sys/fs/cgroup/unified/p']);
    assert.deepEqual(cgroupDirs(HYBRID, '/p', 'memory'), ['/sys/fs/cgroup/memory/p']);
    assert.deepEqual(cgroupDirs(V1, '/p', 'hugetlb'), []);
    assert.equal(cgroupDirs(HYBRID, '/p').length, 7);
  });
});
