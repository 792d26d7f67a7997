/** The tables of RPCs and fields in docs/cri.md, against the protocol and against what is refused. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkpointContainer, checkpointPod, restorePod } from '../../src/cri/checkpoint.ts';
import { codeOf } from '../../src/cri/errors.ts';
import {
  CheckpointContainerRequest,
  CheckpointPodRequest,
  ContainerConfig,
  type DeepPartial,
  PodSandboxConfig,
  RestorePodRequest,
  UpdateContainerResourcesRequest,
} from '../../src/cri/gen/cri.ts';
import { handlers } from '../../src/cri/handlers.ts';
import { containerFromCri } from '../../src/cri/translate-container.ts';
import { sandboxFromCri, type TranslationHost } from '../../src/cri/translate-sandbox.ts';
import { updateContainerResources } from '../../src/cri/update-container-resources.ts';
import { messages, reachable, rows, rpcs, toldRpcs } from '../helpers/cri-document.ts';
import { hostReport } from '../helpers/host-report.ts';

/** All messages that requests are made of. */
const asked = reachable(rpcs.map(({ request }) => request));

describe('docs/cri.md', () => {
  it('says of every RPC what it does', () => {
    const told = toldRpcs();
    assert.deepEqual(told.toSorted(), rpcs.map(({ name }) => name).sort());
    assert.equal(told.length, 43);
  });

  it('has a handler for each', () => {
    const missing = rpcs.filter(
      ({ name }) => !Object.hasOwn(handlers, name.charAt(0).toLowerCase() + name.slice(1)),
    );
    assert.deepEqual(missing, []);
  });

  it('says of every field once what becomes of it, and of no other', () => {
    const expected = [...messages].flatMap(([name, fields]) =>
      [...fields.keys()].map((field) => `${name}.${field}`),
    );
    const told = rows.flatMap(({ message, fields }) => fields.map((each) => `${message}.${each}`));
    assert.deepEqual(told.toSorted(), expected.sort());
    assert.equal(told.length, 478);
  });

  it('tells requests from what is in responses alone', () => {
    for (const { message, part, line } of rows) {
      assert.equal(part, asked.has(message) ? 'requests' : 'responses', line);
    }
  });

  it('uses its own words, with a reason for what is not done', () => {
    const words = {
      requests: /^(honoured|refused (UNIMPLEMENTED|INVALID_ARGUMENT)|ignored)$/,
      responses: /^(filled|empty)$/,
    };
    for (const { part, verdict, note, line } of rows) {
      assert.match(verdict, words[part], line);
      if (!['honoured', 'filled'].includes(verdict)) assert.notEqual(note, '', line);
    }
  });
});

const host: TranslationHost = { report: hostReport('selinux'), cgroupDriver: 'cgroupfs' };
const pod = { name: 'p', namespace: 'n', uid: 'u', attempt: 0 };

function podWith(change: DeepPartial<PodSandboxConfig>): unknown {
  const metadata = { name: 'p', namespace: 'n', uid: 'u' };
  return sandboxFromCri(PodSandboxConfig.fromPartial({ metadata, ...change }), host);
}

function containerWith(change: DeepPartial<ContainerConfig>): unknown {
  const needed = {
    metadata: { name: 'c' },
    image: { image: 'busybox' },
    linux: { securityContext: { namespaceOptions: { pid: 1 } } },
  };
  return containerFromCri(ContainerConfig.fromPartial({ ...needed, ...change }), pod, host);
}

/** Of calls that are refused before anything is looked up. */
const nothing = {} as never;
const { signal } = new AbortController();

type Probe = [covers: string[], names: string, call: () => unknown];

/** What is refused: the fields that this shows of, how the answer begins, and a request with them. */
const probes: Probe[] = [
  [
    [
      'PodSandboxConfig.windows',
      'WindowsPodSandboxConfig',
      'WindowsSandboxSecurityContext',
      'WindowsNamespaceOption',
    ],
    'config.windows: ',
    () => podWith({ windows: {} }),
  ],
  [
    [
      'ContainerConfig.windows',
      'WindowsContainerConfig',
      'WindowsContainerSecurityContext',
      'WindowsContainerResources',
      'WindowsCpuGroupAffinity',
    ],
    'config.windows: ',
    () => containerWith({ windows: {} }),
  ],
  [
    ['UpdateContainerResourcesRequest.windows'],
    'windows: ',
    () => {
      const request = UpdateContainerResourcesRequest.fromPartial({ windows: {} });
      return updateContainerResources(nothing, request, signal);
    },
  ],
  [
    ['ContainerConfig.CDI_devices', 'CDIDevice'],
    'config.CDI_devices: ',
    () => containerWith({ CDIDevices: [{ name: 'vendor.com/gpu=0' }] }),
  ],
  ...(['user', 'role', 'type', 'level'] as const).flatMap((part): Probe[] => [
    [
      [`SELinuxOption.${part}`, 'LinuxSandboxSecurityContext.selinux_options'],
      'config.linux.security_context.selinux_options: ',
      () => podWith({ linux: { securityContext: { selinuxOptions: { [part]: 'x' } } } }),
    ],
    [
      ['LinuxContainerSecurityContext.selinux_options'],
      'config.linux.security_context.selinux_options: ',
      () => containerWith({ linux: { securityContext: { selinuxOptions: { [part]: 'x' } } } }),
    ],
  ]),
  [
    ['Mount.selinux_relabel'],
    'config.mounts[0].selinux_relabel: ',
    () =>
      containerWith({ mounts: [{ containerPath: '/a', hostPath: '/b', selinuxRelabel: true }] }),
  ],
  [
    ['CheckpointContainerRequest'],
    'CheckpointContainer: ',
    () => checkpointContainer(nothing, CheckpointContainerRequest.create(), signal),
  ],
  [
    ['CheckpointPodRequest'],
    'CheckpointPod: ',
    () => checkpointPod(nothing, CheckpointPodRequest.create(), signal),
  ],
  [
    ['RestorePodRequest'],
    'RestorePod: ',
    () => restorePod(nothing, RestorePodRequest.create(), signal),
  ],
];

describe('a field that docs/cri.md calls refused', () => {
  const refused = rows.filter(({ verdict }) => verdict.startsWith('refused '));

  it('is one of those that are tried here, and they are no others', () => {
    const told = refused.flatMap(({ message, fields }) =>
      fields.map((each) => `${message}.${each}`),
    );
    const tried = new Set(
      probes.flatMap(([covers]) =>
        covers.flatMap((each) =>
          each.includes('.')
            ? [each]
            : [...(messages.get(each)?.keys() ?? [])].map((field) => `${each}.${field}`),
        ),
      ),
    );
    assert.deepEqual([...tried].sort(), told.sort());
  });

  it('is accepted without a value', () => {
    assert.doesNotThrow(() => podWith({}));
    assert.doesNotThrow(() => containerWith({}));
  });

  for (const [covers, names, call] of probes) {
    it(`${covers.join(', ')} is refused by its name`, async () => {
      await assert.rejects(
        async () => call(),
        (error: Error) => {
          assert.ok(error.message.startsWith(names), error.message);
          assert.equal(codeOf(error), 12, 'UNIMPLEMENTED');
          return true;
        },
      );
    });
  }
});
