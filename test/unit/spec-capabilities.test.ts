import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  CAPABILITIES,
  capabilityMask,
  capabilityNames,
  containerCapabilities,
  DEFAULT_CAPABILITIES,
} from '../../src/spec/capabilities.ts';
import { HOST } from '../helpers/spec-input.ts';

const sorted = (list: readonly string[]) => [...list].sort();
const without = (...names: string[]) =>
  DEFAULT_CAPABILITIES.filter((name) => !names.includes(name));

describe('capabilities', () => {
  const cases: [string, object, readonly string[]][] = [
    ['the fourteen by default', {}, DEFAULT_CAPABILITIES],
    ['more', { addCapabilities: ['NET_ADMIN'] }, [...DEFAULT_CAPABILITIES, 'CAP_NET_ADMIN']],
    ['less', { dropCapabilities: ['CAP_kill'] }, without('CAP_KILL')],
    ['all', { addCapabilities: ['all'] }, CAPABILITIES],
    ['none', { dropCapabilities: ['ALL'] }, []],
    ['only one', { dropCapabilities: ['ALL'], addCapabilities: ['chown'] }, ['CAP_CHOWN']],
    [
      'all but one',
      { addCapabilities: ['ALL'], dropCapabilities: ['CHOWN'] },
      CAPABILITIES.filter((name) => name !== 'CAP_CHOWN'),
    ],
    ['all of a privileged container', { privileged: true }, CAPABILITIES],
  ];
  for (const [name, security, expected] of cases) {
    it(`should be ${name}`, () => {
      const sets = containerCapabilities(security, HOST);
      assert.deepEqual(sorted(sets.bounding), sorted(expected));
      assert.deepEqual(sets.effective, sets.bounding);
      assert.deepEqual(sets.permitted, sets.bounding);
      assert.deepEqual(sets.inheritable, []);
      assert.deepEqual(sets.ambient, []);
    });
  }

  it('should take "all" as what the runtime itself may hand on', () => {
    const host = { capabilities: ['CAP_CHOWN', 'CAP_KILL'] };
    const sets = containerCapabilities({ privileged: true }, host);
    assert.deepEqual(sets.bounding, ['CAP_CHOWN', 'CAP_KILL']);
  });

  it('should make ambient ones inheritable and permitted', () => {
    const sets = containerCapabilities(
      { dropCapabilities: ['ALL'], addAmbientCapabilities: ['NET_BIND_SERVICE'] },
      HOST,
    );
    assert.deepEqual(sets.ambient, ['CAP_NET_BIND_SERVICE']);
    assert.deepEqual(sets.inheritable, ['CAP_NET_BIND_SERVICE']);
    assert.deepEqual(sets.permitted, ['CAP_NET_BIND_SERVICE']);
  });

  it('should never raise an ambient one that is dropped', () => {
    const sets = containerCapabilities(
      { addAmbientCapabilities: ['KILL'], dropCapabilities: ['KILL'] },
      HOST,
    );
    assert.deepEqual(sets.ambient, []);
  });

  it('should name an unknown one', () => {
    assert.throws(
      () => containerCapabilities({ addCapabilities: ['CHOWN', 'FLY'] }, HOST),
      /security\.addCapabilities\[1\]: "FLY"/,
    );
  });

  it('should turn names to masks and back', () => {
    fc.assert(
      fc.property(fc.subarray([...CAPABILITIES]), (names) => {
        assert.deepEqual(sorted(capabilityNames(capabilityMask(names))), sorted(names));
      }),
    );
    assert.equal(capabilityMask(['CAP_CHOWN', 'CAP_SYS_ADMIN']), 0x200001n);
    assert.equal(capabilityMask(['CAP_CHECKPOINT_RESTORE']), 1n << 40n);
    assert.equal(capabilityMask(DEFAULT_CAPABILITIES), 0xa80425fbn);
  });
});
