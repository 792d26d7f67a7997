import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it, type TestContext } from 'node:test';
import { addon } from '../../src/native/addon.ts';
import type { FileOp } from '../../src/native/types.ts';
import { deferred } from '../../src/runtime/deferred.ts';
import { Trash } from '../../src/runtime/trash.ts';

describe('Trash', () => {
  let root: string;
  let warnings: object[];
  const log = {
    debug() {},
    info() {},
    error() {},
    warn: (fields: object) => warnings.push(fields),
  };
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'coracle-trash-'));
    warnings = [];
  });
  afterEach(() => rmSync(root, { recursive: true }));

  const layer = (name: string) => {
    const path = join(root, name);
    mkdirSync(join(path, 'upper/deep'), { recursive: true });
    writeFileSync(join(path, 'upper/deep/file'), name);
    return path;
  };
  const left = () => readdirSync(join(root, 'trash'));
  const emptied = async () => {
    while (left().length > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  };

  it('should have what is discarded at once, and delete it then', async () => {
    const trash = await Trash.open(root, addon, log);
    const paths = ['a', 'b', 'c'].map(layer);
    await addon.runFileOps(paths.map((path) => trash.discard(path)));
    assert.equal(left().length, 3);
    for (const path of paths) assert.equal(existsSync(path), false);
    trash.empty();
    await emptied();
    await trash.close();
  });

  it('should delete what was left by a server that has died', async () => {
    layer('trash/left');
    const trash = await Trash.open(root, addon, log);
    await emptied();
    await trash.close();
    assert.deepEqual(warnings, []);
  });

  it('should delete what comes while it deletes, and end with the one when it is closed', async () => {
    const held = deferred<void>();
    const deleted: string[] = [];
    const runFileOps = async (ops: FileOp[]) => {
      await held.promise;
      deleted.push(...ops.map(({ path }) => path));
      await addon.runFileOps(ops);
    };
    const trash = await Trash.open(root, { runFileOps }, log);
    layer('trash/first');
    trash.empty();
    layer('trash/second');
    trash.empty();
    held.resolve();
    await emptied();
    assert.equal(deleted.length, 2);
    layer('trash/third');
    layer('trash/fourth');
    trash.empty();
    await trash.close();
    assert.ok(left().length >= 1, 'the next start has the rest');
  });

  it('should say what it cannot delete, go on with the rest, and try again', async (t: TestContext) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    let broken = true;
    const runFileOps = async (ops: FileOp[]) => {
      if (broken && ops[0]?.path.endsWith('bad')) throw new Error('device or resource busy');
      await addon.runFileOps(ops);
    };
    layer('trash/bad');
    layer('trash/good');
    const turns = async (until: () => boolean) => {
      while (!until()) await new Promise(setImmediate);
    };
    const trash = await Trash.open(root, { runFileOps }, log);
    await turns(() => left().join() === 'bad' && warnings.length === 1);
    broken = false;
    t.mock.timers.tick(60_000);
    await turns(() => left().length === 0);
    await trash.close();
  });
});
