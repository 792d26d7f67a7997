/** Where this host has its cgroup hierarchies (cgroups(7)). */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CoracleError } from '../../errors.ts';

export interface CgroupLayout {
  mode: 'v1' | 'hybrid' | 'v2';
  /** The v1 hierarchies, named ones included ("name=systemd"); none in mode 'v2'. */
  v1: { root: string; controllers: string[] }[];
  /** The v2 hierarchy and the controllers it has; absent in mode 'v1'. */
  v2?: { root: string; controllers: string[] };
}

const V1_CONTROLLERS = new Set([
  'blkio',
  'cpu',
  'cpuacct',
  'cpuset',
  'devices',
  'freezer',
  'hugetlb',
  'memory',
  'misc',
  'net_cls',
  'net_prio',
  'perf_event',
  'pids',
  'rdma',
]);

/** The hierarchies of a /proc/PID/mountinfo (proc_pid_mountinfo(5)); the first mount of each. */
export function parseCgroupMounts(mountinfo: string): {
  v1: CgroupLayout['v1'];
  v2: string | undefined;
} {
  const v1 = new Map<string, CgroupLayout['v1'][number]>();
  let v2: string | undefined;
  for (const line of mountinfo.split('\n')) {
    const [left, right] = line.split(' - ');
    if (left === undefined || right === undefined) continue;
    const root = unescapeOctal(left.split(' ')[4] ?? '');
    const [type, , options = ''] = right.split(' ');
    if (type === 'cgroup2') v2 ??= root;
    if (type !== 'cgroup') continue;
    const controllers = options
      .split(',')
      .filter((option) => V1_CONTROLLERS.has(option) || option.startsWith('name='));
    const key = controllers.join(',');
    if (key !== '' && !v1.has(key)) v1.set(key, { root, controllers });
  }
  return { v1: [...v1.values()], v2 };
}

/** Throws FailedPrecondition where no hierarchy is mounted. */
export async function readCgroupLayout(mountinfo = '/proc/self/mountinfo'): Promise<CgroupLayout> {
  const { v1, v2 } = parseCgroupMounts(await readFile(mountinfo, 'utf8'));
  if (v2 === undefined && v1.length === 0) {
    throw new CoracleError('FailedPrecondition', 'no cgroup hierarchy is mounted on this host');
  }
  if (v2 === undefined) return { mode: 'v1', v1 };
  const text = await readFile(join(v2, 'cgroup.controllers'), 'utf8');
  const controllers = text.split(/\s+/).filter(Boolean);
  return { mode: v1.length > 0 ? 'hybrid' : 'v2', v1, v2: { root: v2, controllers } };
}

/** Blanks, tabs, newlines and backslashes are octal there. */
function unescapeOctal(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_all, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
