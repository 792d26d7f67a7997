/**
 * A monitor is killed at every point of its own in the life of its pod. CORACLE_CRASH_CELL="POINT"
 * repeats those of one point.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { killMonitors, MONITOR_POINTS } from '../helpers/crash/monitor-matrix.ts';
import { Report } from '../helpers/crash/report.ts';
import { World } from '../helpers/crash/world.ts';

const ONLY = process.env.CORACLE_CRASH_CELL ?? '';

test('SB-13, EX-4, G-10: a monitor that is killed at any point takes its pod along, and no other', {
  timeout: 580_000,
}, async () => {
  const world = await World.make();
  after(() => world.close());
  const report = new Report();
  for (const point of MONITOR_POINTS) {
    if (!`${point}@`.startsWith(ONLY.split('/').at(-1)?.replace(/@.*/, '@') ?? '')) continue;
    for await (const [cell, outcome] of killMonitors(world, point)) {
      report.add(cell, outcome);
      if (outcome.problems.length > 0) world.forgive();
    }
  }
  console.log(report.table('kill of the monitor'));
  assert.equal(report.failures.join('\n'), '');
});
