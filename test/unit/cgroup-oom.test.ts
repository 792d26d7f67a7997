import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import type { CgroupLayout } from '../../src/runtime/cgroup/layout.ts';
import { oomKills, oomKillsOf } from '../../src/runtime/cgroup/oom.ts';

const root = mkdtempSync(join(tmpdir(), 'coracle-oom-'));
after(() => rmSync(root, { recursive: true }));

/** memory.events of Linux 6.1, and memory.oom_control. */
const events = (kills: number) =>
  `low 0\nhigh 0\nmax 31\noom 3\noom_kill ${kills}\noom_group_kill 0\n`;
const control = (kills: number) => `oom_kill_disable 0\nunder_oom 1\noom_kill ${kills}\n`;

const V2: CgroupLayout = { mode: 'v2', v1: [], v2: { root, controllers: ['memory'] } };
const V1: CgroupLayout = { mode: 'v1', v1: [{ root, controllers: ['memory'] }] };
const HYBRID: CgroupLayout = { ...V1, mode: 'hybrid', v2: { root: '/nowhere', controllers: [] } };

function cgroup(name: string, file: string, text: string): string {
  mkdirSync(join(root, name), { recursive: true });
  writeFileSync(join(root, name, file), text);
  return `/${name}`;
}

describe('what the kernel says of the OOM killer', () => {
  it('should be read from the counter of either version', () => {
    const killed = cgroup('v2-killed', 'memory.events', events(2));
    const throttled = cgroup('v2-throttled', 'memory.events', events(0));
    assert.deepEqual([oomKillsOf(V2, killed), oomKillsOf(V2, throttled)], [2, 0]);
    for (const layout of [V1, HYBRID]) {
      const old = cgroup('v1-killed', 'memory.oom_control', control(1));
      const under = cgroup('v1-under', 'memory.oom_control', control(0));
      assert.deepEqual([oomKillsOf(layout, old), oomKillsOf(layout, under)], [1, 0]);
    }
  });

  it('should be nothing where there is no cgroup or no counter', () => {
    assert.equal(oomKillsOf(V2, '/gone'), 0);
    assert.equal(oomKills('oom_kill_disable 1\nunder_oom 0\n'), 0);
  });
});
