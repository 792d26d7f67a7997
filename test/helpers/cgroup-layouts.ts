import type { CgroupLayout } from '../../src/runtime/cgroup/layout.ts';

const root = '/sys/fs/cgroup';

export const V1: CgroupLayout = {
  mode: 'v1',
  v1: [
    { root: `${root}/cpu,cpuacct`, controllers: ['cpu', 'cpuacct'] },
    { root: `${root}/cpuset`, controllers: ['cpuset'] },
    { root: `${root}/memory`, controllers: ['memory'] },
    { root: `${root}/devices`, controllers: ['devices'] },
    { root: `${root}/pids`, controllers: ['pids'] },
    { root: `${root}/systemd`, controllers: ['name=systemd'] },
  ],
};

export const HYBRID: CgroupLayout = {
  mode: 'hybrid',
  v1: V1.v1,
  v2: { root: `${root}/unified`, controllers: ['hugetlb'] },
};

export const V2: CgroupLayout = {
  mode: 'v2',
  v1: [],
  v2: { root, controllers: ['cpuset', 'cpu', 'io', 'memory', 'hugetlb', 'pids', 'rdma', 'misc'] },
};
