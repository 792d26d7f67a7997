import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RuntimeContext } from '../../src/runtime/context.ts';
import { checkOlderMonitor, hasOlderMonitor } from '../../src/runtime/older-monitor.ts';
import type { ContainerConfig } from '../../src/spec/config.ts';

const context = (attaches: boolean) =>
  ({ monitors: { find: () => ({ attaches }) } }) as unknown as RuntimeContext;
const config = (more: Partial<ContainerConfig>): ContainerConfig => ({
  name: 'c',
  attempt: 0,
  image: 'i',
  ...more,
});
const IMAGE = config({ mounts: [{ containerPath: '/i', image: { name: 'x' } }] });
const PROFILE = config({ security: { apparmor: { type: 'runtimeDefault' } } });

describe('a pod of an older server', () => {
  const older = context(false);

  it('should run what its monitor can run', () => {
    assert.equal(hasOlderMonitor(older, 'p'), true);
    checkOlderMonitor(older, 'p', config({ mounts: [{ containerPath: '/h', hostPath: '/h' }] }));
    checkOlderMonitor(older, 'p', config({ security: { apparmor: { type: 'unconfined' } } }));
  });

  it('should name what its monitor cannot do', () => {
    for (const [asked, message] of [
      [IMAGE, /^mounts\[0\]\.image: .*older version.* cannot mount images/],
      [PROFILE, /^security\.apparmor: .*older version/],
    ] as const) {
      assert.throws(() => checkOlderMonitor(older, 'p', asked), { kind: 'Unimplemented', message });
    }
  });
});

describe('a pod of this version', () => {
  it('should be asked for everything', () => {
    const newer = context(true);
    assert.equal(hasOlderMonitor(newer, 'p'), false);
    checkOlderMonitor(newer, 'p', IMAGE);
    checkOlderMonitor(newer, 'p', PROFILE);
  });
});
