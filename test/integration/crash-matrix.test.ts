/**
 * The server is killed at every commit point of every operation, and started again. Nothing here is
 * left to chance: a cell is an operation, a failpoint and the number of its hit, and
 * CORACLE_CRASH_CELL="create/store.commit@2" repeats the cells whose names begin so.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { FakePlugins } from '../helpers/cni.ts';
import { cellsOf, crash, nameOf, SERVER_POINTS } from '../helpers/crash/matrix.ts';
import { cniOperations, type Operation, operations } from '../helpers/crash/operations.ts';
import { Report } from '../helpers/crash/report.ts';
import { World } from '../helpers/crash/world.ts';

const ONLY = process.env.CORACLE_CRASH_CELL ?? '';

/** What a network of plugins does otherwise than the embedded one. */
const CNI_POINTS = ['store.*', 'cni.*', 'file.*'];

const report = new Report();
after(() => console.log(report.table('kill of the server')));

async function killServers(world: World, rows: readonly Operation[], points: readonly string[]) {
  after(() => world.close());
  const before = report.size;
  for (const operation of rows) {
    const { name } = operation;
    if (!`${name}/`.startsWith(ONLY) && !ONLY.startsWith(`${name}/`)) continue;
    for (const cell of await cellsOf(world, operation, points)) {
      if (!nameOf(cell).startsWith(ONLY)) continue;
      const outcome = await crash(world, operation, cell);
      report.add(cell, outcome);
      if (outcome.problems.length > 0) world.forgive();
    }
  }
  assert.ok(report.size > before || ONLY !== '');
  assert.equal(report.failures.join('\n'), '');
}

test('RC-5, CR-18, RM-6, SB-2: a server that is killed at any commit point goes on where it was', {
  timeout: 580_000,
}, async () => {
  await killServers(await World.make(), operations, SERVER_POINTS);
});

test('SB-3: a server that is killed at any commit point of a CNI network keeps and loses nothing', {
  timeout: 580_000,
}, async () => {
  const plugins = await FakePlugins.make('bridge');
  after(() => plugins.remove());
  await plugins.configure(['bridge']);
  await killServers(await World.make(plugins), cniOperations, CNI_POINTS);
});
