import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { SandboxConfig } from '../../src/spec/config.ts';
import { sandboxSetup } from '../../src/spec/sandbox-setup.ts';
import { SANDBOX } from '../helpers/spec-input.ts';

const setup = (change: Partial<SandboxConfig>) => sandboxSetup({ ...SANDBOX, ...change });

describe('sandbox', () => {
  it('should have its own namespaces and name by default', () => {
    assert.deepEqual(setup({}), {
      net: true,
      ipc: true,
      uts: true,
      sharedPid: false,
      attached: false,
      hostname: 'web-0',
      shmSize: 64 * 1024 * 1024,
      sysctls: [],
    });
  });

  it("should have the host's name with the host's network", () => {
    const { net, uts, hostname } = setup({ namespaces: { network: 'node' } });
    assert.deepEqual({ net, uts, hostname }, { net: false, uts: false, hostname: '' });
  });

  it("should have no shared memory of its own with the host's IPC", () => {
    const { ipc, shmSize } = setup({ namespaces: { ipc: 'node' } });
    assert.deepEqual({ ipc, shmSize }, { ipc: false, shmSize: 0 });
  });

  it('should share processes and be attached where asked', () => {
    const { sharedPid, attached } = setup({ namespaces: { pid: 'pod' }, attached: true });
    assert.deepEqual({ sharedPid, attached }, { sharedPid: true, attached: true });
  });

  it('should refuse a bad name and size', () => {
    assert.throws(() => setup({ hostname: 'x'.repeat(65) }), /^CoracleError: hostname: /);
    assert.throws(() => setup({ hostname: 'a b' }), /hostname/);
    assert.throws(() => setup({ shmSize: -1 }), /shmSize: -1/);
  });
});

describe('sysctls', () => {
  const names: [string, string][] = [
    ['net.ipv4.ip_local_port_range', 'net.ipv4.ip_local_port_range'],
    ['net/ipv4/conf/eth0.100/forwarding', 'net.ipv4.conf.eth0/100.forwarding'],
    ['kernel.shm_rmid_forced', 'kernel.shm_rmid_forced'],
    ['fs.mqueue.msg_max', 'fs.mqueue.msg_max'],
    ['kernel.domainname', 'kernel.domainname'],
  ];
  for (const [given, expected] of names) {
    it(`should set ${given}`, () => {
      assert.deepEqual(setup({ sysctls: { [given]: '1' } }).sysctls, [[expected, '1']]);
    });
  }

  const refused: [string, SandboxConfig['namespaces']][] = [
    ['kernel.panic', {}],
    ['vm.swappiness', {}],
    ['fs.file-max', {}],
    ['kernel.hostname', {}],
    ['kernel.shmmax.x', {}],
    ['net', {}],
    ['net..ipv4', {}],
    ['net.../../kernel.panic', {}],
    ['net/../kernel/panic', {}],
    ['', {}],
    ['net.core.somaxconn', { network: 'node' }],
    ['kernel.domainname', { network: 'node' }],
    ['kernel.sem', { ipc: 'node' }],
    ['fs.mqueue.msg_max', { ipc: 'node' }],
  ];
  for (const [name, namespaces] of refused) {
    it(`should refuse ${JSON.stringify(name)} with ${JSON.stringify(namespaces)}`, () => {
      assert.throws(
        () => setup({ sysctls: { [name]: '1' }, namespaces: namespaces ?? {} }),
        (error: Error) => error.message.startsWith(`sysctls[${JSON.stringify(name)}]`),
      );
    });
  }
});
