import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { SeccompSpec } from '../../src/native/types.ts';
import { SeccompCache, seccompKey } from '../../src/runtime/seccomp-cache.ts';

const SPEC: SeccompSpec = {
  defaultAction: 'SCMP_ACT_ALLOW',
  architectures: [],
  syscalls: [
    {
      names: ['kill'],
      action: 'SCMP_ACT_ERRNO',
      args: [{ index: 0, value: 1n, valueTwo: 0n, op: 'SCMP_CMP_EQ' }],
    },
  ],
};

describe('seccomp cache', () => {
  let root: string;
  let compiled: number;
  const addon = {
    compileSeccomp: async () => {
      compiled += 1;
      return Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8]);
    },
  };
  const open = (version?: string) =>
    new SeccompCache(version === undefined ? { addon, root } : { addon, root, version });
  const file = async () => {
    const [name, ...more] = await readdir(join(root, 'seccomp'));
    assert.ok(name);
    assert.deepEqual([name.endsWith('.bpf'), more], [true, []]);
    return join(root, 'seccomp', name);
  };

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'coracle-seccomp-'));
    compiled = 0;
  });
  afterEach(() => rm(root, { recursive: true }));

  it('should compile a profile once, however many ask at once', async () => {
    const cache = open();
    const copy = structuredClone(SPEC);
    const [a, b] = await Promise.all([cache.program(SPEC), cache.program(copy)]);
    assert.deepEqual([...a], [1, 2, 3, 4, 5, 6, 7, 8]);
    assert.equal(a, b);
    assert.equal(compiled, 1);
  });

  it('should find it again after a restart', async () => {
    await open().program(SPEC);
    assert.deepEqual([...(await open().program(SPEC))], [1, 2, 3, 4, 5, 6, 7, 8]);
    assert.equal(compiled, 1);
  });

  it('should compile anew for another compiler', async () => {
    await open('1').program(SPEC);
    await open('2').program(SPEC);
    assert.equal(compiled, 2);
  });

  const damage: [string, (bytes: Buffer) => string | Uint8Array][] = [
    ['cut short', (bytes) => new Uint8Array(bytes.subarray(0, -8))],
    ['of a broken length', (bytes) => new Uint8Array(bytes.subarray(0, -1))],
    [
      'altered',
      (bytes) => new Uint8Array(bytes).map((byte, i) => (i === bytes.length - 1 ? 9 : byte)),
    ],
    ['empty', () => ''],
  ];
  for (const [name, change] of damage) {
    it(`should not trust a file that is ${name}`, async () => {
      await open().program(SPEC);
      await writeFile(await file(), change(await readFile(await file())));
      assert.deepEqual([...(await open().program(SPEC))], [1, 2, 3, 4, 5, 6, 7, 8]);
      assert.equal(compiled, 2);
      await open().program(SPEC);
      assert.equal(compiled, 2);
    });
  }

  it('should go on without a disk', async () => {
    const file = join(root, 'no-directory');
    await writeFile(file, '');
    const cache = new SeccompCache({ addon, root: file });
    assert.equal((await cache.program(SPEC)).length, 8);
  });

  it('should try again after a failure', async () => {
    let fails = true;
    const cache = new SeccompCache({
      root,
      addon: {
        compileSeccomp: async () => {
          if (fails) throw new Error('no memory');
          return new Uint8Array(8);
        },
      },
    });
    await assert.rejects(cache.program(SPEC), /no memory/);
    fails = false;
    assert.equal((await cache.program(SPEC)).length, 8);
  });

  it('should tell profiles apart by what they say, not by how', () => {
    const { syscalls, ...rest } = SPEC;
    assert.equal(seccompKey({ syscalls, ...rest }, '1'), seccompKey(SPEC, '1'));
    const [rule] = syscalls;
    assert.ok(rule);
    const other = { ...SPEC, syscalls: [{ ...rule, args: [] }] };
    assert.notEqual(seccompKey(other, '1'), seccompKey(SPEC, '1'));
  });
});
