import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  ContainerConfig,
  type DeepPartial,
  type LinuxContainerSecurityContext,
  MountPropagation,
  NamespaceMode,
  SecurityProfile_ProfileType as ProfileType,
  Signal,
  SupplementalGroupsPolicy,
} from '../../src/cri/gen/cri.ts';
import { signalFromCri, signalToCri } from '../../src/cri/signal.ts';
import { containerFromCri } from '../../src/cri/translate-container.ts';
import type { TranslationHost } from '../../src/cri/translate-sandbox.ts';
import type { SandboxConfig } from '../../src/spec/config.ts';
import { hostReport } from '../helpers/host-report.ts';

const PLAIN: TranslationHost = { report: hostReport(), cgroupDriver: 'cgroupfs' };
const POD: SandboxConfig = {
  name: 'p',
  namespace: 'n',
  uid: 'u',
  attempt: 0,
  namespaces: { network: 'pod', pid: 'pod', ipc: 'pod' },
};

type Partial = DeepPartial<ContainerConfig>;

function translate(config: Partial, { pod = POD, host = PLAIN } = {}) {
  const least = { metadata: { name: 'c', attempt: 2 }, image: { image: 'busybox' } };
  return containerFromCri(ContainerConfig.fromPartial({ ...least, ...config }), pod, host);
}

const secured = (securityContext: DeepPartial<LinuxContainerSecurityContext>): Partial => ({
  linux: { securityContext },
});

describe('a container configuration from CRI', () => {
  it('of the least that a client sends', () => {
    assert.deepEqual(translate({}), {
      name: 'c',
      attempt: 2,
      image: 'busybox',
      command: [],
      args: [],
      env: [],
      mounts: [],
      devices: [],
      labels: {},
      annotations: {},
      stdin: false,
      stdinOnce: false,
      tty: false,
      resources: { oomScoreAdj: 0 },
      security: {
        privileged: false,
        pid: 'pod',
        supplementalGroups: [],
        supplementalGroupsPolicy: 'merge',
        readonlyRootfs: false,
        noNewPrivs: false,
        seccomp: { type: 'unconfined' },
      },
    });
  });

  it('of everything that kubelet sends', () => {
    const config = translate({
      command: ['/bin/sh'],
      args: ['-c', 'true'],
      workingDir: '/work',
      envs: [{ key: 'A', value: Buffer.from('ä=1') }],
      mounts: [
        {
          containerPath: '/data',
          hostPath: '/srv/data',
          readonly: true,
          selinuxRelabel: true,
          propagation: MountPropagation.PROPAGATION_HOST_TO_CONTAINER,
          image: { image: '' },
        },
      ],
      devices: [{ containerPath: '/dev/f', hostPath: '/dev/fuse', permissions: 'rwm' }],
      labels: { l: '1' },
      annotations: { a: '2' },
      logPath: 'c/0.log',
      stdin: true,
      stdinOnce: true,
      tty: true,
      stopSignal: Signal.SIGNAL_SIGRTMINPLUS3,
      linux: {
        resources: { cpuShares: 512n, oomScoreAdj: 999n },
        securityContext: {
          capabilities: {
            addCapabilities: ['NET_ADMIN'],
            dropCapabilities: ['ALL'],
            addAmbientCapabilities: ['NET_ADMIN'],
          },
          namespaceOptions: { pid: NamespaceMode.CONTAINER },
          runAsUser: { value: 0n },
          runAsGroup: { value: 1000n },
          supplementalGroups: [2000n],
          supplementalGroupsPolicy: SupplementalGroupsPolicy.Strict,
          readonlyRootfs: true,
          noNewPrivs: true,
          maskedPaths: ['/proc/kcore'],
          readonlyPaths: ['/proc/sys'],
          seccomp: { profileType: ProfileType.Localhost, localhostRef: '/p.json' },
          seccompProfilePath: 'unconfined',
          apparmor: { profileType: ProfileType.Unconfined },
        },
      },
    });
    assert.deepEqual(config, {
      name: 'c',
      attempt: 2,
      image: 'busybox',
      command: ['/bin/sh'],
      args: ['-c', 'true'],
      workingDir: '/work',
      env: [['A', 'ä=1']],
      mounts: [
        {
          containerPath: '/data',
          hostPath: '/srv/data',
          createHostPath: true,
          readonly: true,
          propagation: 'rslave',
        },
      ],
      devices: [{ containerPath: '/dev/f', hostPath: '/dev/fuse', permissions: 'rwm' }],
      labels: { l: '1' },
      annotations: { a: '2' },
      logPath: 'c/0.log',
      stdin: true,
      stdinOnce: true,
      tty: true,
      resources: { oomScoreAdj: 999, cpuShares: 512 },
      security: {
        privileged: false,
        addCapabilities: ['NET_ADMIN'],
        dropCapabilities: ['ALL'],
        addAmbientCapabilities: ['NET_ADMIN'],
        pid: 'container',
        runAsUser: 0,
        runAsGroup: 1000,
        supplementalGroups: [2000],
        supplementalGroupsPolicy: 'strict',
        readonlyRootfs: true,
        noNewPrivs: true,
        maskedPaths: ['/proc/kcore'],
        readonlyPaths: ['/proc/sys'],
        seccomp: { type: 'localhost', path: '/p.json' },
        apparmor: { type: 'unconfined' },
      },
      stopSignal: 'SIGRTMIN+3',
    });
    assert.deepEqual(JSON.parse(JSON.stringify(config)), config);
  });

  const profiles: [DeepPartial<LinuxContainerSecurityContext>, object][] = [
    [{}, { type: 'unconfined' }],
    [{ seccomp: {} }, { type: 'runtimeDefault' }],
    [{ seccomp: { profileType: ProfileType.Unconfined } }, { type: 'unconfined' }],
    [{ seccompProfilePath: 'unconfined' }, { type: 'unconfined' }],
    [{ seccompProfilePath: 'runtime/default' }, { type: 'runtimeDefault' }],
    [{ seccompProfilePath: 'docker/default' }, { type: 'runtimeDefault' }],
    [{ seccompProfilePath: 'localhost//etc/p.json' }, { type: 'localhost', path: '/etc/p.json' }],
  ];
  for (const [context, expected] of profiles) {
    it(`takes ${JSON.stringify(context)} for ${JSON.stringify(expected)}`, () => {
      assert.deepEqual(translate(secured(context)).security?.seccomp, expected);
    });
  }

  it('shares the PID namespace that its pod has', () => {
    const pod: SandboxConfig = { ...POD, namespaces: { network: 'pod', pid: 'node', ipc: 'pod' } };
    assert.equal(translate({}, { pod }).security?.pid, 'node');
    const namespaceOptions = { pid: NamespaceMode.TARGET, targetId: 't' };
    const { pid, targetId } = translate(secured({ namespaceOptions })).security ?? {};
    assert.deepEqual([pid, targetId], ['target', 't']);
  });

  const security = 'config.linux.security_context';
  const mount = (fields: object): Partial => ({
    mounts: [{ containerPath: '/a', hostPath: '/b', ...fields }],
  });
  const invalid: [Partial, string][] = [
    [{ metadata: undefined }, 'config.metadata: undefined must be set'],
    [{ metadata: { name: '' } }, 'config.metadata.name: "" must not be empty'],
    [{ image: undefined }, 'config.image: undefined must be set'],
    [{ image: { image: '' } }, 'config.image.image: "" must not be empty'],
    [
      { image: { image: 'i', runtimeHandler: 'kata' } },
      'config.image.runtime_handler: "kata" is no runtime handler that is configured (have "", "native")',
    ],
    [{ command: ['a', 'b\0'] }, 'config.command[1]: "b\\u0000" must not contain a NUL byte'],
    [{ workingDir: 'w' }, 'config.working_dir: "w" must be an absolute path'],
    [{ envs: [{ key: '' }] }, 'config.envs[0].key: "" must not be empty'],
    [{ envs: [{ key: 'A=B' }] }, 'config.envs[0].key: "A=B" must not contain "="'],
    [
      { envs: [{ key: 'A', value: Buffer.from([0xff]) }] },
      'config.envs[0].value: "ÿ" is not UTF-8',
    ],
    [
      mount({ containerPath: 'a' }),
      'config.mounts[0].container_path: "a" must be an absolute path',
    ],
    [mount({ hostPath: '' }), 'config.mounts[0].host_path: "" must be an absolute path'],
    [
      mount({ propagation: 9 }),
      'config.mounts[0].propagation: 9 must be one of PROPAGATION_PRIVATE, PROPAGATION_HOST_TO_CONTAINER, PROPAGATION_BIDIRECTIONAL',
    ],
    [
      { devices: [{ containerPath: '/d', hostPath: '/d', permissions: 'rx' }] },
      'config.devices[0].permissions: "rx" must be of the letters r, w, m',
    ],
    [
      { logPath: '../x.log' },
      'config.log_path: "../x.log" must be relative and must not contain ".."',
    ],
    [{ logPath: '/x.log' }, 'config.log_path: "/x.log" must be relative and must not contain ".."'],
    [{ stopSignal: 200 as Signal }, 'config.stop_signal: 200 is not a signal of CRI v1'],
    [secured({ privileged: true }), `${security}.privileged: true needs a privileged pod sandbox`],
    [
      secured({ runAsUser: { value: -1n } }),
      `${security}.run_as_user: -1 must be between 0 and 4294967294`,
    ],
    [
      secured({ runAsUser: { value: 1n }, runAsUsername: 'u' }),
      `${security}.run_as_username: "u" excludes run_as_user`,
    ],
    [
      secured({ runAsGroup: { value: 7n } }),
      `${security}.run_as_group: 7 needs run_as_user or run_as_username`,
    ],
    [
      secured({ supplementalGroups: [1n, 4294967295n] }),
      `${security}.supplemental_groups[1]: 4294967295 must be between 0 and 4294967294`,
    ],
    [
      secured({ capabilities: { addCapabilities: [''] } }),
      `${security}.capabilities.add_capabilities[0]: "" must not be empty`,
    ],
    [
      secured({ namespaceOptions: { network: NamespaceMode.NODE } }),
      `${security}.namespace_options.network: "NODE" needs a pod sandbox in that namespace`,
    ],
    [
      secured({ namespaceOptions: { pid: NamespaceMode.TARGET } }),
      `${security}.namespace_options.target_id: "" must not be empty`,
    ],
    [
      secured({ namespaceOptions: { targetId: 'x' } }),
      `${security}.namespace_options.target_id: "x" needs pid TARGET`,
    ],
    [
      { linux: { resources: { cpuPeriod: 5n } } },
      'config.linux.resources.cpu_period: 5 must be between 1000 and 1000000',
    ],
  ];
  for (const [config, message] of invalid) {
    it(`refuses ${message.slice(0, 90)}`, () => {
      assert.throws(() => translate(config), { kind: 'InvalidArgument', message });
    });
  }

  it('refuses a shared PID namespace in a pod that has none', () => {
    const pod: SandboxConfig = {
      ...POD,
      namespaces: { network: 'pod', pid: 'container', ipc: 'pod' },
    };
    assert.throws(() => translate({}, { pod }), {
      message: `${security}.namespace_options.pid: "POD" needs a pod sandbox with a shared PID namespace`,
    });
  });

  const unsupported: [Partial, string][] = [
    [{ windows: {} }, 'config.windows: Windows containers are'],
    [{ CDIDevices: [{ name: 'v/c=d' }] }, 'config.CDI_devices: CDI devices are'],
    [
      { annotations: { 'cdi.k8s.io/x': 'v/c=d' } },
      'config.annotations["cdi.k8s.io/x"]: CDI devices are',
    ],
    [
      mount({ readonly: true, recursiveReadOnly: true }),
      'config.mounts[0].recursive_read_only: recursive read-only mounts are',
    ],
    [
      secured({ apparmorProfile: 'localhost/p' }),
      `${security}.apparmor: AppArmor profiles are, as the host has no AppArmor,`,
    ],
    [
      secured({ apparmor: { profileType: ProfileType.Localhost, localhostRef: 'p' } }),
      `${security}.apparmor: AppArmor profiles are, as the host has no AppArmor,`,
    ],
  ];
  for (const [config, message] of unsupported) {
    it(`refuses ${message} not supported`, () => {
      const expected = { kind: 'Unimplemented', message: `${message} not supported` };
      assert.throws(() => translate(config), expected);
    });
  }

  it('mounts an image, all of it or a part, under the name that its author gave it', () => {
    const image = {
      image: 'sha256:1',
      userSpecifiedImage: 'models:1',
      annotations: { a: '1' },
    };
    const part = { hostPath: '', readonly: true, image, imageSubPath: 'en/small' };
    assert.deepEqual(translate(mount({ ...part, mountOptions: ['noexec'] })).mounts, [
      {
        containerPath: '/a',
        image: {
          name: 'sha256:1',
          userSpecifiedImage: 'models:1',
          imageAnnotations: { a: '1' },
          subPath: 'en/small',
        },
        readonly: true,
        propagation: 'private',
        flags: ['noexec'],
      },
    ]);
  });

  const recursive = 'config.mounts[0].recursive_read_only: true';
  const shared = MountPropagation.PROPAGATION_BIDIRECTIONAL;
  const ofImage = { hostPath: '', readonly: true, image: { image: 'i' } };
  const badMounts: [object, string][] = [
    [{ recursiveReadOnly: true }, `${recursive} needs readonly`],
    [
      { recursiveReadOnly: true, readonly: true, propagation: shared },
      `${recursive} needs the propagation PROPAGATION_PRIVATE`,
    ],
    [
      { mountOptions: ['noexec', 'exec'] },
      'config.mounts[0].mount_options[1]: "exec" must be one of noexec, nodev, nosuid',
    ],
    [{ imageSubPath: 'p' }, 'config.mounts[0].image_sub_path: "p" needs an image'],
    [{ image: { image: 'i' } }, 'config.mounts[0].host_path: "/b" excludes an image'],
    [{ ...ofImage, readonly: false }, 'config.mounts[0].readonly: false must be true for an image'],
    [
      { ...ofImage, propagation: shared },
      'config.mounts[0].propagation: "PROPAGATION_BIDIRECTIONAL" must be PROPAGATION_PRIVATE for an image',
    ],
    [
      { ...ofImage, imageSubPath: 'a/../b' },
      'config.mounts[0].image_sub_path: "a/../b" must be relative and must not contain ".."',
    ],
  ];
  for (const [fields, message] of badMounts) {
    it(`refuses ${message}`, () => {
      const able = { ...PLAIN, report: hostReport('mount_setattr') };
      const expected = { kind: 'InvalidArgument', message };
      assert.throws(() => translate(mount(fields), { host: able }), expected);
    });
  }

  it('makes mounts recursively read-only where the host can, and says so where it cannot', () => {
    const fields = mount({ readonly: true, recursiveReadOnly: true });
    const host = { ...PLAIN, report: hostReport('mount_setattr') };
    assert.equal(translate(fields, { host }).mounts?.[0]?.recursiveReadonly, true);
    assert.throws(() => translate(fields), { reason: 'RROUnsupported' });
  });

  it('takes empty lists of paths for the defaults, in a user namespace for none', () => {
    const paths = (pod: SandboxConfig, context = {}) => {
      const { security } = translate(secured(context), { pod });
      return [security?.maskedPaths, security?.readonlyPaths];
    };
    const map = { hostId: 100000, length: 65536 };
    const mapped = { ...POD, userNamespace: { uids: map, gids: map } };
    assert.deepEqual(paths(POD), [undefined, undefined]);
    assert.deepEqual(paths(mapped), [[], []]);
    assert.deepEqual(paths(mapped, { maskedPaths: ['/proc/keys'] }), [['/proc/keys'], []]);
  });

  it('takes AppArmor profiles by either field, and labels only where SELinux is', () => {
    const on = { ...PLAIN, report: hostReport('apparmor') };
    const apparmor = (context: DeepPartial<LinuxContainerSecurityContext>, host = on) =>
      translate(secured(context), { host }).security?.apparmor;
    const local = { profileType: ProfileType.Localhost, localhostRef: 'localhost/p' };
    assert.deepEqual(apparmor({ apparmor: local }), { type: 'localhost', name: 'p' });
    const both = { apparmorProfile: 'localhost/q', apparmor: local };
    assert.deepEqual(apparmor(both), { type: 'localhost', name: 'p' });
    assert.deepEqual(apparmor({ apparmorProfile: 'runtime/default' }, PLAIN), {
      type: 'runtimeDefault',
    });
    assert.equal(apparmor({}), undefined);
    assert.throws(() => apparmor({ apparmorProfile: 'p' }), { kind: 'InvalidArgument' });
    const labels = secured({ selinuxOptions: { type: 't' } });
    assert.ok(translate(labels));
    const selinux = { ...PLAIN, report: hostReport('selinux') };
    assert.throws(() => translate(labels, { host: selinux }), {
      message: `${security}.selinux_options: SELinux labels are not supported`,
    });
  });

  it('relabels nothing where SELinux is off and refuses to where it is on', () => {
    const relabel = mount({ selinuxRelabel: true });
    assert.equal(translate(relabel).mounts?.length, 1);
    const host: TranslationHost = { ...PLAIN, report: hostReport('selinux') };
    assert.throws(() => translate(relabel, { host }), { kind: 'Unimplemented' });
  });
});

describe('signals of CRI', () => {
  it('each has a name that leads back to it, or to the signal that it is a second name of', () => {
    const second = new Set(['SIGNAL_SIGCLD', 'SIGNAL_SIGIOT', 'SIGNAL_SIGPOLL']);
    for (const value of Object.values(Signal)) {
      if (typeof value !== 'number' || value <= 0) continue;
      const name = signalFromCri('f', value) ?? '';
      assert.match(name, /^SIG[A-Z0-9]+([+-]\d+)?$/);
      if (!second.has(Signal[value] ?? '')) assert.equal(signalToCri(name), value, name);
    }
  });

  it('zero is the default, and so is what CRI has no name for', () => {
    assert.equal(signalFromCri('f', Signal.SIGNAL_RUNTIME_DEFAULT), undefined);
    assert.equal(signalToCri('15'), Signal.SIGNAL_RUNTIME_DEFAULT);
    assert.equal(signalToCri('term'), Signal.SIGNAL_SIGTERM);
    assert.equal(signalToCri('SIGRTMAX-14'), Signal.SIGNAL_SIGRTMAXMINUS14);
  });
});
