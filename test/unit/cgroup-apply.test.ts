/** Setting limits anew, in a directory that stands for a cgroup v2 hierarchy. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { FileOp } from '../../src/native/types.ts';
import { applyLimits } from '../../src/runtime/cgroup/apply.ts';
import type { CgroupLayout } from '../../src/runtime/cgroup/index.ts';
import { unreclaimable } from '../../src/runtime/cgroup/memory-room.ts';
import type { RuntimeContext } from '../../src/runtime/context.ts';

const FILES = {
  'cpu.weight': '100\n',
  'cpu.max': 'max 100000\n',
  'cpuset.cpus': '\n',
  'memory.max': 'max\n',
  'memory.swap.max': 'max\n',
  'memory.current': '5000\n',
  'memory.stat': 'anon 1000\ninactive_file 2500\nactive_file 1500\n',
  'io.weight': 'default 100\n8:0 50\n',
};

let root: string;
let written: string[];
/** The file that takes nothing. */
let refuses: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'coracle-apply-'));
  mkdirSync(join(root, 'pod'));
  for (const [name, text] of Object.entries(FILES)) writeFileSync(join(root, 'pod', name), text);
  written = [];
  refuses = '';
});
afterEach(() => rmSync(root, { recursive: true }));

function context(): Pick<RuntimeContext, 'addon' | 'cgroups' | 'log'> {
  const controllers = ['cpuset', 'cpu', 'io', 'memory'];
  const cgroups: CgroupLayout = { mode: 'v2', v1: [], v2: { root, controllers } };
  const runFileOps = async (ops: FileOp[]) => {
    for (const op of ops) {
      if (op.op !== 'write') throw new Error(op.op);
      const name = op.path.slice(root.length + 5);
      if (name === refuses && !op.optional) {
        const fields = { step: `write "${op.value}" to`, errno: 16, code: 'EBUSY', path: op.path };
        throw Object.assign(new Error('refused'), fields);
      }
      written.push(`${name}=${op.value}`);
    }
  };
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  return { addon: { runFileOps } as unknown as RuntimeContext['addon'], cgroups, log };
}

describe('limits of a cgroup that is there', () => {
  it('are undone in reverse order, line by line, to what the files had', async () => {
    const next = {
      cpu: { shares: 2, cpus: '0' },
      unified: { 'io.weight': 'default 200' },
    };
    const undo = await applyLimits(context(), '/pod', next, {});
    assert.deepEqual(written.splice(0), ['cpuset.cpus=0', 'cpu.weight=1', 'io.weight=default 200']);
    await undo();
    assert.deepEqual(written, [
      'io.weight=8:0 50',
      'io.weight=default 100',
      'cpu.weight=100',
      'cpuset.cpus=\n',
    ]);
  });

  it('are all as before where one is refused, which is named', async () => {
    refuses = 'memory.max';
    const next = { cpu: { quota: 5000, period: 10_000 }, memory: { limit: 4096, swap: 4096 } };
    await assert.rejects(applyLimits(context(), '/pod', next, {}), {
      kind: 'FailedPrecondition',
      message: `write "4096" to ${root}/pod/memory.max: resource busy or locked`,
    });
    assert.equal(written[0], 'cpu.max=5000 10000');
    assert.equal(written.at(-1), 'cpu.max=max 100000');
  });

  it('are refused where v2 would kill for them, before anything is written', async () => {
    const next = { memory: { limit: 999, swap: 999 } };
    await assert.rejects(applyLimits(context(), '/pod', next, {}), {
      kind: 'FailedPrecondition',
      message: /^memory limit 999: 1000 bytes are in use/,
    });
    assert.deepEqual(written, []);
    await applyLimits(context(), '/pod', { memory: { limit: 999, swap: 5000 } }, {});
    assert.deepEqual(written, ['memory.max=999', 'memory.swap.max=4001']);
  });

  it('count page cache as room', () => {
    const [current, stat] = [FILES['memory.current'], FILES['memory.stat']];
    assert.equal(unreclaimable(current, stat), 1000);
    assert.equal(unreclaimable('', ''), 0);
  });

  it('name the file of a controller that is not there', async () => {
    const next = { unified: { 'misc.max': 'x' } };
    await assert.rejects(applyLimits(context(), '/pod', next, {}), {
      kind: 'InvalidArgument',
      message: /unified\["misc\.max"\]/,
    });
    assert.equal(readFileSync(join(root, 'pod/cpu.max'), 'utf8'), FILES['cpu.max']);
  });
});
