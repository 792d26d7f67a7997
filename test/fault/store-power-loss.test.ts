import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openContainers } from '../../src/store/containers.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import { openBackend } from '../../src/store/open.ts';
import { openSandboxes } from '../../src/store/sandboxes.ts';
import { type CutOptions, cutsAt, Seen } from './cuts.ts';
import { DiskModel, seeded, type Tree, writeTree } from './disk-model.ts';
import { LONG, scratch } from './power-loss.ts';
import { type Operation, Recorder } from './recording.ts';
import { StoreHistory } from './store-history.ts';

const SEEDS = LONG ? [1, 2, 3] : [Number(process.env.CORACLE_POWER_LOSS_SEED ?? 1)];
const RANDOM_FATES = LONG ? 6 : 2;
const SECOND_CUTS = LONG ? 12 : 2;
/** States of which the second opening is looked at, too: every so many. */
const TWICE = LONG ? 1 : 4;

interface Met {
  moments: number;
  states: number;
  openings: number;
}

/** The rows of the store in `root`, which must open without a problem. */
async function rowsOf(root: string): Promise<Map<string, string>> {
  const { backend, problems } = await openBackend(join(root, 'meta'));
  const store = new MemoryStore(backend, undefined, problems);
  try {
    openSandboxes(store);
    openContainers(store);
    store.table('images');
    assert.deepEqual(store.problems, []);
    const rows = [...backend.load('')].filter(([key]) => !key.startsWith('\u0001'));
    return new Map(rows.map(([key, value]) => [key, value.toString('base64')]));
  } finally {
    await store.close();
  }
}

/** Opens every state that a cut after each of the operations may leave, and judges it. */
async function replay(
  operations: readonly Operation[],
  disk: DiskModel,
  history: StoreHistory,
  options: CutOptions & { root: string; met: Met },
  each: (tree: Tree, history: StoreHistory) => void = () => {},
): Promise<void> {
  const { root, met, seed } = options;
  const seen = new Seen();
  for (const [at, operation] of operations.entries()) {
    disk.apply(operation);
    history.see(operation);
    met.moments += 1;
    for (const { name, tree } of cutsAt(disk, at + 1, options)) {
      if (seen.before(tree, history.durable)) continue;
      met.states += 1;
      met.openings += 1;
      writeTree(root, tree);
      try {
        const rows = await rowsOf(root);
        assert.equal(history.judge(rows), undefined);
        if (met.states % TWICE === 0) {
          met.openings += 1;
          assert.deepEqual(await rowsOf(root), rows, 'another opening finds the same');
        }
      } catch (error) {
        throw new Error(`cut ${name} of seed ${seed}: ${error}`, { cause: error });
      }
      each(tree, history);
    }
  }
}

for (const seed of SEEDS) {
  test(`SS-10: the store survives loss of power at every write (seed ${seed})`, {
    timeout: LONG ? 3_600_000 : 120_000,
  }, async (t) => {
    const dir = scratch(t);
    const root = join(dir, 'root');
    const met: Met = { moments: 0, states: 0, openings: 0 };
    const options = { root: join(dir, 'cut'), met, seed, random: RANDOM_FATES, single: LONG };
    mkdirSync(root);
    // Killed, killed again, and ended well in the next boot.
    const recorder = new Recorder(dir, root, 'first');
    await recorder.run('store-workload.ts', [`${seed}1`, '18', 'kill'], 1);
    await recorder.run('store-workload.ts', [`${seed}2`, '18', 'kill'], 1);
    const { operations, exit } = await recorder.run(
      'store-workload.ts',
      [`${seed}3`, '18', 'close'],
      2,
    );
    assert.deepEqual(exit, { code: 0, signal: null });

    const random = seeded(seed);
    const again: { tree: Tree; history: StoreHistory }[] = [];
    let states = 0;
    await replay(operations, new DiskModel(), new StoreHistory(), options, (tree, history) => {
      // A fair choice among states whose number is known only in the end.
      states += 1;
      const place = again.length < SECOND_CUTS ? again.length : Math.floor(random() * states);
      if (place < SECOND_CUTS) again[place] = { tree, history: history.fork() };
    });

    // The power fails again while the next program recovers, and goes on.
    for (const [n, { tree, history }] of again.entries()) {
      writeTree(root, tree);
      const disk = DiskModel.of(root, tree);
      const run = await new Recorder(dir, root, `second-${n}`).run(
        'store-workload.ts',
        [`${seed}4${n}`, '4', n % 2 === 0 ? 'kill' : 'close'],
        3,
      );
      await replay(run.operations, disk, history, { ...options, seed: seed * 100 + n });
    }
    t.diagnostic(`${met.moments} moments, ${met.states} states, ${met.openings} openings`);
  });
}
