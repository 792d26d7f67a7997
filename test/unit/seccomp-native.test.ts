import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { describe, it } from 'node:test';
import { DEFAULT_CAPABILITIES } from '../../src/spec/capabilities.ts';
import { defaultSeccomp } from '../../src/spec/default-seccomp.ts';
import { localhostSeccomp } from '../../src/spec/localhost-seccomp.ts';

const built = existsSync(new URL('../../build/Release/coracle.node', import.meta.url));

/** BPF_MAXINSNS of the kernel, and sizeof(struct sock_filter). */
const MAX_BYTES = 4096 * 8;

describe('seccomp profiles, compiled', { skip: built ? false : 'the addon is not built' }, () => {
  const compile = async (...args: Parameters<typeof defaultSeccomp>) => {
    const { addon } = await import('../../src/native/addon.ts');
    return addon.compileSeccomp(defaultSeccomp(...args));
  };

  for (const [name, capabilities] of [
    ['the default capabilities', DEFAULT_CAPABILITIES],
    ['no capabilities', []],
    ['CAP_SYS_ADMIN', ['CAP_SYS_ADMIN']],
  ] as const) {
    it(`should fit the kernel with ${name}`, async () => {
      const program = await compile(capabilities, process.arch as 'x64');
      assert.ok(program.length > 800 && program.length <= MAX_BYTES, `${program.length} bytes`);
      assert.equal(program.length % 8, 0);
    });
  }

  it('should differ with what is allowed', async () => {
    const few = await compile([], process.arch as 'x64');
    const more = await compile(['CAP_SYS_ADMIN'], process.arch as 'x64');
    assert.notDeepEqual([...few], [...more]);
  });

  it('should take a profile of a file', async () => {
    const { addon } = await import('../../src/native/addon.ts');
    const text = JSON.stringify({
      defaultAction: 'SCMP_ACT_ALLOW',
      syscalls: [{ names: ['mkdir', 'no_such_call'], action: 'SCMP_ACT_ERRNO', errnoRet: 13 }],
    });
    const host = { arch: process.arch as 'x64', kernel: [6, 1] as [number, number] };
    const program = await addon.compileSeccomp(localhostSeccomp({ path: '/p', text }, [], host));
    assert.ok(program.length > 0 && program.length % 8 === 0);
  });
});
