/** Limits where a controller is withheld from containers' cgroups, on a directory like such a host. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { addon } from '../../src/native/addon.ts';
import type { CgroupLayout } from '../../src/runtime/cgroup/layout.ts';
import { cgroupCreateOps } from '../../src/runtime/cgroup/ops.ts';
import { refusedLimit } from '../../src/runtime/cgroup/refused-limit.ts';
import type { Resources } from '../../src/spec/oci.ts';

const root = mkdtempSync(join(tmpdir(), 'coracle-cgroup-'));
after(() => rmSync(root, { recursive: true }));

/** The root has them all; what it passes on is memory. */
const layout: CgroupLayout = {
  mode: 'v2',
  v1: [],
  v2: { root, controllers: ['cpu', 'hugetlb', 'memory', 'pids'] },
};
const dir = join(root, 'pod', 'c');
mkdirSync(dir, { recursive: true });
writeFileSync(join(dir, 'cgroup.controllers'), 'memory\n');
writeFileSync(join(dir, 'memory.max'), '');

async function create(resources: Resources): Promise<void> {
  try {
    await addon.runFileOps(cgroupCreateOps(layout, '/pod/c', resources));
  } catch (error) {
    throw refusedLimit(layout, error);
  }
}

describe('a controller that is withheld', () => {
  it('should be missed by nobody who asks for no limit', async () => {
    await create({
      cpu: { quota: -1, period: 100_000 },
      memory: { limit: 4096, swap: 4096 },
      pids: { limit: -1 },
      hugepageLimits: [
        { pageSize: '2MB', limit: 0 },
        { pageSize: '1GB', limit: 0 },
      ],
    });
    assert.equal(readFileSync(join(dir, 'memory.max'), 'utf8'), '4096');
  });

  const asked: [string, Resources, RegExp][] = [
    ['pids', { pids: { limit: 5 } }, /pids\.max cannot be set: the pids controller is not avail/],
    ['cpu', { cpu: { shares: 2 } }, /cpu\.weight cannot be set: the cpu controller is not avail/],
    [
      'hugetlb',
      { hugepageLimits: [{ pageSize: '2MB', limit: 2 ** 21 }] },
      /hugetlb\.2MB\.max cannot be set: the hugetlb controller is not available/,
    ],
    ['memory', { unified: { 'memory.nonsense': '1' } }, /memory\.nonsense: no such file/],
  ];
  for (const [controller, resources, message] of asked) {
    it(`should be named where ${controller} is asked for`, async () => {
      await assert.rejects(create(resources), { kind: 'FailedPrecondition', message });
    });
  }

  it('should not be blamed for what is no limit', async () => {
    const other = { op: 'write', path: join(tmpdir(), 'no-such', 'x'), value: '', optional: false };
    await assert.rejects(addon.runFileOps([other as never]), (error: Error) => {
      assert.equal(refusedLimit(layout, error), error);
      return true;
    });
  });
});
