import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { diagnose, hostHas, kernelVersion } from '../../src/runtime/doctor.ts';
import { hostChecks } from '../../src/runtime/host-checks.ts';
import { missingCapabilities } from '../../src/runtime/process-capabilities.ts';
import { hostReport } from '../helpers/host-report.ts';

describe('the host report', () => {
  const versions: [string, readonly [number, number]][] = [
    ['6.1.0-13-amd64', [6, 1]],
    ['5.15.153.1-microsoft-standard-WSL2', [5, 15]],
    ['6.18', [6, 18]],
    ['unknown', [0, 0]],
  ];
  for (const [release, version] of versions) {
    it(`reads ${release} as ${version.join('.')}`, () => {
      assert.deepEqual(kernelVersion(release), version);
    });
  }

  it('names the capabilities that a process lacks', () => {
    const status = 'Name:\tx\nCapPrm:\t0000000000000000\nCapEff:\t000001fffeffffff\n';
    assert.deepEqual(missingCapabilities(status, ['SYS_RESOURCE', 'SYS_ADMIN', 'SETFCAP']), [
      'CAP_SYS_RESOURCE',
    ]);
    assert.deepEqual(missingCapabilities('', ['CHOWN']), ['CAP_CHOWN']);
    assert.throws(() => missingCapabilities(status, ['NO_SUCH']), /CAP_NO_SUCH/);
  });

  it('says what an old kernel lacks, and why that matters', async () => {
    const checks = await hostChecks([5, 10], '5.10.0', {});
    const state = (name: string) => checks.find((check) => check.name === name)?.state;
    assert.equal(state('kernel'), 'degraded');
    assert.equal(state('openat2'), 'ok');
    assert.equal(state('mount_setattr'), 'missing');
    assert.equal(state('cgroup.kill'), 'missing');
  });

  it('of this host has every check once, with a detail, and the boot id', async () => {
    const report = await diagnose({ root: '/no/such/directory/yet' });
    assert.equal(report.bootId, readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim());
    const names = report.checks.map(({ name }) => name);
    assert.equal(new Set(names).size, names.length);
    assert.ok(names.includes('root-directory'));
    assert.ok(report.checks.every(({ detail }) => detail.length > 0));
    assert.ok(Object.isFrozen(report) && Object.isFrozen(report.checks));
  });

  it('is asked by name, and a name that it does not know is a mistake', () => {
    const report = hostReport('seccomp');
    assert.deepEqual([hostHas(report, 'seccomp'), hostHas(report, 'selinux')], [true, false]);
    assert.throws(() => hostHas(report, 'secomp'), /no check named secomp/);
  });
});
