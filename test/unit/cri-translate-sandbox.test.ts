import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type DeepPartial,
  NamespaceMode,
  PodSandboxConfig,
  SecurityProfile_ProfileType as ProfileType,
  Protocol,
} from '../../src/cri/gen/cri.ts';
import { sandboxFromCri, type TranslationHost } from '../../src/cri/translate-sandbox.ts';
import { hostReport } from '../helpers/host-report.ts';

const PLAIN: TranslationHost = { report: hostReport(), cgroupDriver: 'cgroupfs' };

function translate(config: DeepPartial<PodSandboxConfig>, host = PLAIN) {
  const metadata = { name: 'p', namespace: 'n', uid: 'u', attempt: 3 };
  return sandboxFromCri(PodSandboxConfig.fromPartial({ metadata, ...config }), host);
}

describe('a pod sandbox configuration from CRI', () => {
  it('of the least that a client sends', () => {
    assert.deepEqual(translate({}), {
      name: 'p',
      namespace: 'n',
      uid: 'u',
      attempt: 3,
      portMappings: [],
      labels: {},
      annotations: {},
      namespaces: { network: 'pod', pid: 'pod', ipc: 'pod' },
      privileged: false,
    });
  });

  it('of everything that kubelet sends', () => {
    const config = translate({
      hostname: 'web-0',
      logDirectory: '/var/log/pods/x',
      dnsConfig: { servers: ['10.0.0.10', 'fe80::1'], searches: ['a.b'], options: ['ndots:5'] },
      portMappings: [
        { protocol: Protocol.UDP, containerPort: 53, hostPort: 5353, hostIp: '127.0.0.1' },
      ],
      labels: { app: 'web' },
      annotations: { a: 'b' },
      linux: {
        cgroupParent: '/kubepods//burstable/podu/',
        sysctls: { 'net.core.somaxconn': '1024' },
        overhead: { cpuShares: 10n },
        resources: { memoryLimitInBytes: 1n },
        securityContext: {
          namespaceOptions: {
            network: NamespaceMode.NODE,
            pid: NamespaceMode.CONTAINER,
            ipc: NamespaceMode.NODE,
            usernsOptions: { mode: NamespaceMode.NODE },
          },
          privileged: true,
          runAsUser: { value: 1n },
          runAsGroup: { value: 1n },
          supplementalGroups: [5n],
          seccomp: { profileType: ProfileType.RuntimeDefault },
          selinuxOptions: {},
          apparmor: { profileType: ProfileType.RuntimeDefault },
        },
      },
    });
    assert.deepEqual(config, {
      name: 'p',
      namespace: 'n',
      uid: 'u',
      attempt: 3,
      hostname: 'web-0',
      logDirectory: '/var/log/pods/x',
      dns: { servers: ['10.0.0.10', 'fe80::1'], searches: ['a.b'], options: ['ndots:5'] },
      portMappings: [{ protocol: 'udp', containerPort: 53, hostPort: 5353, hostIp: '127.0.0.1' }],
      labels: { app: 'web' },
      annotations: { a: 'b' },
      cgroupParent: '/kubepods/burstable/podu',
      sysctls: { 'net.core.somaxconn': '1024' },
      podResources: { overhead: { cpuShares: 10 }, resources: { memoryLimit: 1 } },
      namespaces: { network: 'node', pid: 'container', ipc: 'node' },
      privileged: true,
    });
  });

  it('is plain data that survives JSON', () => {
    const config = translate({
      portMappings: [{ containerPort: 1 }],
      linux: { sysctls: { a: '1' } },
    });
    assert.deepEqual(JSON.parse(JSON.stringify(config)), config);
  });

  const slices: [string, string][] = [
    [
      'kubepods-burstable-podu.slice',
      '/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podu.slice',
    ],
    ['/a.slice/a-b.slice', '/a.slice/a-b.slice'],
    ['-.slice', '/'],
  ];
  for (const [slice, path] of slices) {
    it(`puts ${slice} at ${path} with the systemd driver`, () => {
      const host: TranslationHost = { ...PLAIN, cgroupDriver: 'systemd' };
      assert.equal(translate({ linux: { cgroupParent: slice } }, host).cgroupParent, path);
    });
  }

  const meta = { name: 'p', namespace: 'n', uid: 'u' };
  const options = (namespaceOptions: object) => ({
    linux: { securityContext: { namespaceOptions } },
  });
  const invalid: [DeepPartial<PodSandboxConfig>, string][] = [
    [{ metadata: undefined }, 'config.metadata: undefined must be set'],
    [{ metadata: { ...meta, name: '' } }, 'config.metadata.name: "" must not be empty'],
    [{ metadata: { ...meta, namespace: '' } }, 'config.metadata.namespace: "" must not be empty'],
    [{ metadata: { ...meta, uid: '' } }, 'config.metadata.uid: "" must not be empty'],
    [
      { metadata: { ...meta, uid: 'a\0b' } },
      'config.metadata.uid: "a\\u0000b" must not contain a NUL byte',
    ],
    [{ hostname: 'h'.repeat(65) }, `config.hostname: "${'h'.repeat(65)}" is longer than 64 bytes`],
    [{ hostname: 'a b' }, 'config.hostname: "a b" must not be empty or contain blanks'],
    [{ logDirectory: 'logs' }, 'config.log_directory: "logs" must be an absolute path'],
    [
      { dnsConfig: { servers: ['1.1.1.1', 'dns'] } },
      'config.dns_config.servers[1]: "dns" is not an IP address',
    ],
    [
      { dnsConfig: { searches: ['a\nnameserver 6.6.6.6'] } },
      'config.dns_config.searches[0]: "a\\nnameserver 6.6.6.6" must not be empty or contain blanks',
    ],
    [
      { dnsConfig: { options: [''] } },
      'config.dns_config.options[0]: "" must not be empty or contain blanks',
    ],
    [
      { portMappings: [{ containerPort: 0 }] },
      'config.port_mappings[0].container_port: 0 must be between 1 and 65535',
    ],
    [
      { portMappings: [{ containerPort: 1, hostPort: -1 }] },
      'config.port_mappings[0].host_port: -1 must be between 0 and 65535',
    ],
    [
      { portMappings: [{ containerPort: 1, hostIp: 'x' }] },
      'config.port_mappings[0].host_ip: "x" is not an IP address',
    ],
    [
      { portMappings: [{ containerPort: 1, protocol: 9 as Protocol }] },
      'config.port_mappings[0].protocol: 9 must be one of TCP, UDP, SCTP',
    ],
    [
      { linux: { cgroupParent: '/a/../b' } },
      'config.linux.cgroup_parent: "/a/../b" must not contain "." or ".."',
    ],
    [
      { linux: { sysctls: { a: '\0' } } },
      'config.linux.sysctls["a"]: "a\\u0000" must not contain a NUL byte',
    ],
    [
      options({ network: NamespaceMode.CONTAINER }),
      'config.linux.security_context.namespace_options.network: "CONTAINER" must be one of POD, NODE',
    ],
    [
      options({ pid: NamespaceMode.TARGET }),
      'config.linux.security_context.namespace_options.pid: "TARGET" must be one of POD, CONTAINER, NODE',
    ],
    [
      options({ ipc: 7 }),
      'config.linux.security_context.namespace_options.ipc: 7 must be one of POD, NODE',
    ],
    [
      options({ targetId: 'c' }),
      'config.linux.security_context.namespace_options.target_id: "c" is for containers only',
    ],
    [
      { linux: { securityContext: { runAsGroup: { value: 5n } } } },
      'config.linux.security_context.run_as_group: 5 needs run_as_user',
    ],
    [
      {
        linux: {
          securityContext: { seccomp: { profileType: ProfileType.Localhost, localhostRef: 'x' } },
        },
      },
      'config.linux.security_context.seccomp.localhost_ref: "x" must be an absolute path',
    ],
    [
      { linux: { securityContext: { seccomp: { profileType: 8 as ProfileType } } } },
      'config.linux.security_context.seccomp.profile_type: 8 must be one of RuntimeDefault, Unconfined, Localhost',
    ],
    [
      { linux: { securityContext: { seccompProfilePath: 'x' } } },
      'config.linux.security_context.seccomp_profile_path: "x" must be "unconfined", "runtime/default" or "localhost/<path>"',
    ],
  ];
  for (const [config, message] of invalid) {
    it(`refuses ${message.slice(0, 90)}`, () => {
      assert.throws(() => translate(config), { kind: 'InvalidArgument', message });
    });
  }

  it('refuses a missing message', () => {
    assert.throws(() => sandboxFromCri(undefined, PLAIN), {
      kind: 'InvalidArgument',
      message: 'config: undefined must be set',
    });
  });

  it('refuses a parent that is no slice with the systemd driver', () => {
    const host: TranslationHost = { ...PLAIN, cgroupDriver: 'systemd' };
    for (const parent of ['/kubepods/pod', 'a--b.slice', '.slice']) {
      assert.throws(() => translate({ linux: { cgroupParent: parent } }, host), {
        kind: 'InvalidArgument',
        message: /^config\.linux\.cgroup_parent: /,
      });
    }
  });

  const context = 'config.linux.security_context';
  const unsupported: [DeepPartial<PodSandboxConfig>, string][] = [
    [{ windows: {} }, 'config.windows: Windows pods are not supported'],
    [
      {
        linux: {
          securityContext: { apparmor: { profileType: ProfileType.Localhost, localhostRef: 'p' } },
        },
      },
      `${context}.apparmor: AppArmor profiles are, as the host has no AppArmor, not supported`,
    ],
  ];
  for (const [config, message] of unsupported) {
    it(`refuses ${message}`, () => {
      assert.throws(() => translate(config), { kind: 'Unimplemented', message });
    });
  }

  it('takes profiles and labels for what they are to its containers', () => {
    const pod = (securityContext: object) => ({ linux: { securityContext } });
    const on: TranslationHost = { ...PLAIN, report: hostReport('apparmor') };
    const local = { profileType: ProfileType.Localhost, localhostRef: 'p' };
    for (const apparmor of [{ profileType: ProfileType.RuntimeDefault }, local]) {
      assert.ok(translate(pod({ apparmor }), on));
    }
    const labels = pod({ selinuxOptions: { level: 's0' } });
    assert.ok(translate(labels));
    const selinux: TranslationHost = { ...PLAIN, report: hostReport('selinux') };
    assert.throws(() => translate(labels, selinux), {
      kind: 'Unimplemented',
      message: `${context}.selinux_options: SELinux labels are not supported`,
    });
  });
});
