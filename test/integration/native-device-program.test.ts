import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { addon } from '../../src/native/addon.ts';
import type { DeviceRule } from '../../src/native/types.ts';

/** Where a cgroup v2 hierarchy is mounted that we may make directories in. */
function unified(): string | undefined {
  const mounts = fs.readFileSync('/proc/self/mounts', 'utf8').split('\n');
  const line = mounts.find((mount) => mount.split(' ')[2] === 'cgroup2');
  return process.getuid?.() === 0 ? line?.split(' ')[1] : undefined;
}

const any: DeviceRule = { allow: true, type: 'a', major: -1, minor: -1, access: 'rwm' };
const device = (allow: boolean, minor: number, access: string): DeviceRule => ({
  allow,
  type: 'c',
  major: 1,
  minor,
  access,
});
const [NULL, ZERO, FULL] = [3, 5, 7];

describe('attachDeviceProgram', { skip: unified() ? false : 'needs root and cgroup v2' }, () => {
  const cgroup = path.join(unified() ?? '', `coracle-test-devices-${process.pid}`);
  beforeEach(() => fs.mkdirSync(cgroup));
  afterEach(() => addon.runFileOps([{ op: 'rmdir', path: cgroup, below: false }]));

  /** Which of these opens a process in the cgroup is permitted: "null r", "zero w", ... */
  async function permitted(...opens: string[]): Promise<string[]> {
    const tries = opens.map((open) => {
      const [name, how] = open.split(' ');
      const redirect = { r: '<', w: '>', rw: '<>' }[how ?? ''];
      return `( : ${redirect} /dev/${name} ) 2>&- && echo '${open}'`;
    });
    const script = `echo $$ > ${cgroup}/cgroup.procs || exit 9; ${tries.join('; ')}; true`;
    const result = await addon.spawn({ file: '/bin/sh', argv: ['sh', '-c', script], env: [] });
    assert.equal(result.exitCode, 0, result.stderr);
    return result.stdout.split('\n').filter((line) => line !== '');
  }

  it('should deny what no rule mentions', async () => {
    assert.deepEqual(await permitted('null r', 'zero r'), ['null r', 'zero r']);
    await addon.attachDeviceProgram(cgroup, []);
    assert.deepEqual(await permitted('null r', 'zero r'), []);
  });

  it('should tell kinds of access apart and add up what several rules allow', async () => {
    const rules = [device(true, NULL, 'r'), device(true, NULL, 'w'), device(true, ZERO, 'r')];
    await addon.attachDeviceProgram(cgroup, rules);
    const opens = ['null r', 'null w', 'null rw', 'zero r', 'zero w', 'zero rw', 'full r'];
    assert.deepEqual(await permitted(...opens), ['null r', 'null w', 'null rw', 'zero r']);
  });

  it('should let later rules win, for any device and for one', async () => {
    const rules = [device(false, ZERO, 'rwm'), any, device(false, NULL, 'w')];
    await addon.attachDeviceProgram(cgroup, rules);
    const opens = ['null r', 'null w', 'null rw', 'zero rw'];
    assert.deepEqual(await permitted(...opens), ['null r', 'zero rw']);
  });

  it('should replace what an earlier call attached', async () => {
    await addon.attachDeviceProgram(cgroup, [device(true, NULL, 'rwm')]);
    await addon.attachDeviceProgram(cgroup, [device(true, FULL, 'rwm')]);
    await addon.attachDeviceProgram(cgroup, [device(true, ZERO, 'rwm')]);
    assert.deepEqual(await permitted('null r', 'full r', 'zero r'), ['zero r']);
  });

  it('should say what is wrong with the cgroup or the rules', async () => {
    await assert.rejects(addon.attachDeviceProgram('/no/such', []), {
      message: 'open cgroup /no/such: no such file or directory',
    });
    await assert.rejects(addon.attachDeviceProgram('/tmp', []), { code: 'EBADF', path: '/tmp' });
    await assert.rejects(addon.attachDeviceProgram(cgroup, [{ ...any, access: 'x' }]), {
      name: 'TypeError',
      message: "rules[0].access must be letters of 'rwm'",
    });
  });
});
