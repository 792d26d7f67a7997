import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { apparmorProfileFor } from '../../src/runtime/apparmor.ts';
import type { RuntimeContext } from '../../src/runtime/context.ts';
import type { AppArmorProfile, ContainerConfig } from '../../src/spec/config.ts';
import { DEFAULT_APPARMOR, defaultAppArmorProfile } from '../../src/spec/default-apparmor.ts';
import { hostReport } from '../helpers/host-report.ts';

/** A context of a host with or without AppArmor; no program is ever started. */
function context(...present: string[]): RuntimeContext {
  const spawn = () => Promise.reject(new Error('nothing may be started'));
  return { host: hostReport(...present), addon: { spawn } } as unknown as RuntimeContext;
}

function config(apparmor?: AppArmorProfile, privileged = false): ContainerConfig {
  const security = { privileged, ...(apparmor && { apparmor }) };
  return { name: 'c', attempt: 0, image: 'i', security };
}

describe('the AppArmor profile of a container', () => {
  it('should be none where there is no AppArmor, or where it is not wanted', async () => {
    const without = context();
    assert.equal(await apparmorProfileFor(without, config()), undefined);
    assert.equal(await apparmorProfileFor(without, config({ type: 'runtimeDefault' })), undefined);
    const on = context('apparmor');
    assert.equal(await apparmorProfileFor(on, config({ type: 'unconfined' })), undefined);
    assert.equal(await apparmorProfileFor(on, config(undefined, true)), undefined);
  });

  it('should never be less than the one that is named', async () => {
    const named: AppArmorProfile = { type: 'localhost', name: 'coracle-no-such-profile' };
    await assert.rejects(apparmorProfileFor(context(), config(named)), {
      kind: 'FailedPrecondition',
      message: /the host has no AppArmor for the profile coracle-no-such-profile/,
    });
  });
});

describe('the default profile', () => {
  it('should name itself as the only peer, and close the rest of the host', () => {
    const text = defaultAppArmorProfile();
    assert.match(text, new RegExp(`^profile ${DEFAULT_APPARMOR} `, 'm'));
    assert.match(text, new RegExp(`ptrace .* peer=${DEFAULT_APPARMOR},`));
    assert.match(text, /deny mount,/);
    for (const line of text.trimEnd().split('\n')) {
      assert.match(line, /^$|[,{}]$|^@\{PROC\}=/, line);
    }
  });
});
