import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { addon } from '../../src/native/addon.ts';
import type { SeccompSpec } from '../../src/native/types.ts';

const allow = 'SCMP_ACT_ALLOW';
function profile(changes: Partial<SeccompSpec> = {}): SeccompSpec {
  return { defaultAction: 'SCMP_ACT_ERRNO', architectures: [], syscalls: [], ...changes };
}

/** The verdict of a classic BPF filter for one system call (linux/filter.h, seccomp(2)). */
function evaluate(program: Uint8Array, arch: number, nr: number, args: bigint[] = []): number {
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(0, nr, true);
  data.setUint32(4, arch, true);
  args.forEach((value, index) => {
    data.setBigUint64(16 + 8 * index, value, true);
  });
  const code = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const memory: number[] = [];
  let a = 0;
  for (let pc = 0; ; pc++) {
    const at = pc * 8;
    const op = code.getUint16(at, true);
    const k = code.getUint32(at + 4, true);
    const jump = (yes: boolean) => {
      pc += code.getUint8(at + (yes ? 2 : 3));
    };
    if (op === 0x20) a = data.getUint32(k, true);
    else if (op === 0x05) pc += k;
    else if (op === 0x15) jump(a === k);
    else if (op === 0x25) jump(a > k);
    else if (op === 0x35) jump(a >= k);
    else if (op === 0x45) jump((a & k) !== 0);
    else if (op === 0x54) a = (a & k) >>> 0;
    else if (op === 0x02) memory[k] = a;
    else if (op === 0x60) a = memory[k] ?? 0;
    else if (op === 0x06) return k;
    else throw new Error(`unknown instruction 0x${op.toString(16)} at ${pc}`);
  }
}

// AUDIT_ARCH_X86_64 and AUDIT_ARCH_AARCH64, with the numbers of getpid, personality and mount.
const native =
  process.arch === 'x64'
    ? { arch: 0xc000003e, getpid: 39, personality: 135, mount: 165 }
    : { arch: 0xc00000b7, getpid: 172, personality: 92, mount: 40 };
const ALLOW = 0x7fff0000;
const errno = (number: number) => 0x00050000 + number;

describe('compileSeccomp', () => {
  it('should give each call its action and the rest the default', async () => {
    const program = await addon.compileSeccomp(
      profile({
        defaultErrnoRet: 38,
        syscalls: [
          { names: ['getpid', 'no_such_call_ever'], action: allow },
          { names: ['mount'], action: 'SCMP_ACT_ERRNO', errnoRet: 13 },
        ],
      }),
    );
    assert.equal(program.length % 8, 0);
    assert.equal(evaluate(program, native.arch, native.getpid), ALLOW);
    assert.equal(evaluate(program, native.arch, native.mount), errno(13));
    assert.equal(evaluate(program, native.arch, native.personality), errno(38));
  });

  it('should compare arguments, with masks and with alternatives', async () => {
    const arg = (value: bigint, valueTwo: bigint, op: string) => ({
      index: 0,
      value,
      valueTwo,
      op,
    });
    const program = await addon.compileSeccomp(
      profile({
        syscalls: [
          {
            names: ['personality'],
            action: allow,
            args: [arg(0n, 0n, 'SCMP_CMP_EQ'), arg(8n, 0n, 'SCMP_CMP_EQ')],
          },
          {
            names: ['mount'],
            action: allow,
            args: [arg(0x7e020000n, 0n, 'SCMP_CMP_MASKED_EQ')],
          },
        ],
      }),
    );
    const verdict = (nr: number, value: bigint) => evaluate(program, native.arch, nr, [value]);
    assert.equal(verdict(native.personality, 0n), ALLOW);
    assert.equal(verdict(native.personality, 8n), ALLOW);
    assert.equal(verdict(native.personality, 9n), errno(1));
    assert.equal(verdict(native.personality, 1n << 32n), errno(1));
    assert.equal(verdict(native.mount, 0x11n), ALLOW);
    assert.equal(verdict(native.mount, 0x00020000n), errno(1));
  });

  it('should tolerate a rule given twice and one that repeats the default', async () => {
    const program = await addon.compileSeccomp(
      profile({
        syscalls: [
          { names: ['getpid', 'getpid'], action: allow },
          { names: ['getpid'], action: allow },
          { names: ['mount'], action: 'SCMP_ACT_ERRNO' },
        ],
      }),
    );
    assert.equal(evaluate(program, native.arch, native.getpid), ALLOW);
    assert.equal(evaluate(program, native.arch, native.mount), errno(1));
  });

  it('should know every action and further architectures', async () => {
    for (const action of ['KILL', 'KILL_PROCESS', 'KILL_THREAD', 'LOG', 'TRAP', 'TRACE']) {
      const program = await addon.compileSeccomp(
        profile({
          architectures: [
            'SCMP_ARCH_X86_64',
            'SCMP_ARCH_X86',
            'SCMP_ARCH_X32',
            'SCMP_ARCH_AARCH64',
          ],
          syscalls: [{ names: ['getpid'], action: `SCMP_ACT_${action}` }],
        }),
      );
      assert.notEqual(evaluate(program, native.arch, native.getpid), errno(1), action);
    }
  });

  const wrong: [what: string, spec: Partial<SeccompSpec>, path: string][] = [
    ['action', { defaultAction: 'SCMP_ACT_DANCE' }, 'action SCMP_ACT_DANCE'],
    ['action', { syscalls: [{ names: ['getpid'], action: 'ALLOW' }] }, 'action ALLOW'],
    ['architecture', { architectures: ['SCMP_ARCH_Z80'] }, 'architecture SCMP_ARCH_Z80'],
    [
      'operator',
      {
        syscalls: [
          {
            names: ['getpid'],
            action: allow,
            args: [{ index: 0, value: 0n, valueTwo: 0n, op: 'SCMP_CMP_ODD' }],
          },
        ],
      },
      'operator SCMP_CMP_ODD',
    ],
  ];
  for (const [what, spec, path] of wrong) {
    it(`should name an unknown ${what} (${path})`, async () => {
      await assert.rejects(addon.compileSeccomp(profile(spec)), {
        step: 'compile seccomp profile',
        code: 'EINVAL',
        path,
      });
    });
  }

  it('should name the field of a wrong shape', async () => {
    await assert.rejects(
      addon.compileSeccomp(profile({ syscalls: [{ names: 'getpid', action: allow }] as never })),
      { name: 'TypeError', message: 'spec.syscalls[0].names must be an array' },
    );
  });
});
