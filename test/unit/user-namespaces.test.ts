import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NamespaceMode, UserNamespace } from '../../src/cri/gen/cri.ts';
import {
  checkContainerUserNamespace,
  mapsIds,
  userNamespaceFromCri,
  userNamespaceMessage,
} from '../../src/cri/user-namespace.ts';
import type { Step } from '../../src/native/types.ts';
import type { HostReport } from '../../src/runtime/doctor.ts';
import {
  CLONE_NEWCGROUP,
  CLONE_NEWNS,
  MOUNT_ATTR_IDMAP,
} from '../../src/runtime/plan/constants.ts';
import { execPlan } from '../../src/runtime/plan/exec-plan.ts';
import { launchPlan } from '../../src/runtime/plan/launch-plan.ts';
import {
  requireUserNamespaces,
  userNamespaceCheck,
} from '../../src/runtime/user-namespace-check.ts';
import type { ContainerConfig, SandboxConfig } from '../../src/spec/config.ts';
import { containerSpec } from '../../src/spec/container-spec.ts';
import { containerDevices } from '../../src/spec/devices.ts';
import {
  checkContainerIds,
  checkUserNamespace,
  hostId,
  idMapsOf,
} from '../../src/spec/user-namespace.ts';
import { HYBRID } from '../helpers/cgroup-layouts.ts';
import { hostReport } from '../helpers/host-report.ts';
import { specInput } from '../helpers/spec-input.ts';

const MAP = { hostId: 1000, length: 500 };
const MAPS = { uids: MAP, gids: { hostId: 2000, length: 600 } };
const POD: SandboxConfig = { name: 'p', namespace: 'n', uid: 'u', attempt: 0 };
const MAPPED: SandboxConfig = { ...POD, userNamespace: MAPS };
const CONTAINER: ContainerConfig = { name: 'c', attempt: 0, image: 'i' };

const line = (hostId: number, length: number) => [{ containerId: 0, hostId, length }];
const message = UserNamespace.fromPartial({
  mode: NamespaceMode.POD,
  uids: line(1000, 500),
  gids: line(2000, 600),
});

describe("a user namespace between CRI's words and ours", () => {
  it('is the same there and back', () => {
    const { userNamespace } = userNamespaceFromCri('f', message);
    assert.deepEqual(userNamespace, MAPS);
    assert.deepEqual(userNamespaceMessage(userNamespace), message);
    assert.equal(userNamespaceMessage(undefined), undefined);
  });

  it("is none where nothing is said, or the host's is", () => {
    const node = UserNamespace.fromPartial({ mode: NamespaceMode.NODE });
    assert.deepEqual(
      [userNamespaceFromCri('f', undefined), userNamespaceFromCri('f', node)],
      [{}, {}],
    );
  });

  it("of a container is its pod's or left out", () => {
    checkContainerUserNamespace('f', undefined, MAPPED);
    checkContainerUserNamespace('f', message, MAPPED);
    checkContainerUserNamespace('f', UserNamespace.fromPartial({ mode: NamespaceMode.NODE }), POD);
    const other = UserNamespace.fromPartial({ ...message, gids: line(2000, 601) });
    const node = UserNamespace.fromPartial({ mode: NamespaceMode.NODE });
    for (const [options, pod] of [
      [other, MAPPED],
      [node, MAPPED],
      [message, POD],
    ] as const) {
      const call = () => checkContainerUserNamespace('f', options, pod);
      assert.throws(call, { kind: 'InvalidArgument', message: /^f: .* is not the pod sandbox's/ });
    }
  });

  it('maps the ids of a mount only as those of the pod', () => {
    const of = (uidMappings = line(1000, 500), gidMappings = line(2000, 600)) => ({
      uidMappings,
      gidMappings,
    });
    assert.equal(mapsIds('f', of([], []), POD), false);
    assert.equal(mapsIds('f', of([], []), MAPPED), false);
    assert.equal(mapsIds('f', of(), MAPPED), true);
    assert.throws(() => mapsIds('f', of(), POD), /are not those of the pod/);
    assert.throws(() => mapsIds('f', of(line(1001, 500)), MAPPED), /are not those of the pod/);
    assert.throws(() => mapsIds('f', of([]), MAPPED), /f.uidMappings: \[\] must be exactly one/);
    assert.throws(() => mapsIds('f', of(undefined, []), MAPPED), /f.gidMappings: \[\] must be/);
  });
});

describe('what a user namespace may be', () => {
  it('knows an id in the host', () => {
    assert.deepEqual(
      [hostId(MAP, 0), hostId(MAP, 499), hostId(MAP, 500), hostId(undefined, 7)],
      [1000, 1499, undefined, 7],
    );
  });

  it('takes maps within 32 bits that leave the root of the host out', () => {
    const check = (map: object) =>
      checkUserNamespace({ ...POD, userNamespace: { ...MAPS, uids: { ...MAP, ...map } } });
    check({ hostId: 1, length: 0xffff_fffe });
    for (const map of [{ hostId: 0 }, { hostId: -1 }, { hostId: 1.5 }, { hostId: 0xffff_ffff }]) {
      assert.throws(() => check(map), /^CoracleError: userNamespace.uids.hostId: /);
    }
    for (const map of [{ length: 0 }, { length: -1 }, { hostId: 2, length: 0xffff_fffe }]) {
      assert.throws(() => check(map), /^CoracleError: userNamespace.uids.length: /);
    }
  });

  it("excludes the host's processes and IPC, not its network", () => {
    checkUserNamespace({ ...MAPPED, namespaces: { network: 'node', pid: 'pod' } });
    for (const kind of ['pid', 'ipc'] as const) {
      const call = () => checkUserNamespace({ ...MAPPED, namespaces: { [kind]: 'node' } });
      assert.throws(call, {
        kind: 'InvalidArgument',
        message: new RegExp(`^namespaces.${kind}: `),
      });
    }
  });

  it('bounds the ids of a container, and what its mounts may do', () => {
    const check = (change: Partial<ContainerConfig>, pod = MAPPED) =>
      checkContainerIds(pod, { ...CONTAINER, ...change });
    const mount = { containerPath: '/v', hostPath: '/v' };
    check({ security: { runAsUser: 499, runAsGroup: 599, supplementalGroups: [0, 599] } });
    check({ mounts: [{ ...mount, mapIds: true, propagation: 'rslave' }] });
    check({ mounts: [{ ...mount, propagation: 'rshared' }], security: { runAsUser: 500 } }, POD);
    const wrong: [Partial<ContainerConfig>, RegExp, SandboxConfig?][] = [
      [{ security: { runAsUser: 500 } }, /^security.runAsUser: 500 is not in the map/],
      [{ security: { runAsUser: 1, runAsGroup: 600 } }, /^security.runAsGroup: 600 /],
      [{ security: { supplementalGroups: [1, 600] } }, /^security.supplementalGroups\[1\]: 600 /],
      [{ security: { pid: 'node' } }, /^security.pid: "node" is not possible/],
      [{ mounts: [{ ...mount, propagation: 'rshared' }] }, /^mounts\[0\].propagation: "rshared"/],
      [{ mounts: [{ ...mount, mapIds: true }] }, /^mounts\[0\].mapIds: true needs a pod/, POD],
    ];
    for (const [change, text, pod] of wrong) {
      assert.throws(() => check(change, pod), { kind: 'InvalidArgument', message: text });
    }
  });

  it('leaves devices of the host to whom they belong', () => {
    const node = { type: 'c', major: 10, minor: 229, mode: 0o600, permissions: 'rw' } as const;
    const asked = [{ ...node, containerPath: '/dev/fuse', uid: 0, gid: 0 }];
    const owners = containerDevices(asked, false, { devices: [] }, MAPS).map(
      ({ path, uid, gid }) => [path, uid, gid],
    );
    assert.deepEqual(owners[0], ['/dev/null', 1000, 2000]);
    assert.deepEqual(owners.at(-1), ['/dev/fuse', 0, 0]);
  });
});

describe('what the host has to have for user namespaces', () => {
  it('is a kernel of 5.19, and a file system that maps ids', async () => {
    const state = async (kernel: [number, number], root?: string) =>
      (await userNamespaceCheck(kernel, root)).state;
    assert.equal(await state([5, 18]), 'missing');
    assert.equal(await state([5, 19]), 'ok');
    assert.equal(await state([6, 18], '/proc/no/such'), 'missing');
    const { detail } = await userNamespaceCheck([6, 18], '/proc/no/such');
    assert.match(detail, /not known to map ids/);
  });

  it('is asked only by pods that want one', () => {
    const report: HostReport = {
      ...hostReport(),
      checks: [{ name: 'user-namespaces', state: 'missing', detail: 'none here' }],
    };
    requireUserNamespaces(report, POD);
    assert.throws(() => requireUserNamespaces(report, MAPPED), {
      kind: 'FailedPrecondition',
      message: /none here$/,
    });
  });
});

describe('plans in a pod with a user namespace', () => {
  const specOf = (userNamespace?: typeof MAPS) =>
    containerSpec(
      specInput({
        sandbox: { ...(userNamespace && { userNamespace }) },
        container: {
          workingDir: '/srv',
          rlimits: [{ type: 'RLIMIT_NOFILE', soft: 1, hard: 2 }],
          mounts: [{ containerPath: '/v', hostPath: '/h', ...(userNamespace && { mapIds: true }) }],
          security: { seccomp: { type: 'unconfined' } },
        },
      }),
    );
  const plansOf = (userNamespace?: typeof MAPS) => {
    const spec = specOf(userNamespace);
    const context = { id: 'c', cgroup: HYBRID, pidMode: 'new' } as const;
    const snapshot = { lower: ['l'], upper: 'u', work: 'w' };
    return {
      spec,
      launch: launchPlan(spec, { ...context, snapshot }).steps,
      exec: execPlan(spec, { id: 'e', parentId: 'c', argv: ['a'], tty: true }, context).steps,
    };
  };
  const ops = (steps: Step[]) => steps.map(({ op }) => op);
  const find = <Op extends Step['op']>(steps: Step[], op: Op, target?: string) =>
    steps.find(
      (step) => step.op === op && (!target || ('target' in step && step.target === target)),
    );

  it('should make the root as its root, and join it after the limits and before the user', () => {
    const { launch, exec } = plansOf(MAPS);
    for (const steps of [launch, exec]) {
      const order = ops(steps);
      const at = order.indexOf('joinUserNamespace');
      for (const op of ['pivot', 'joinNamespaces', 'console', 'oomScoreAdj', 'rlimit'] as const) {
        assert.ok(order.lastIndexOf(op) < at, op);
      }
      for (const op of ['user', 'cwd', 'capabilities', 'execve'] as const) {
        assert.ok(order.indexOf(op) > at, op);
      }
      assert.ok(order.lastIndexOf('joinCgroup') < order.indexOf('actAsPodRoot'));
    }
    assert.ok(ops(launch).indexOf('actAsPodRoot') < ops(launch).indexOf('overlay'));
    assert.ok(ops(exec).indexOf('actAsPodRoot') < ops(exec).indexOf('console'));
    assert.deepEqual(find(launch, 'joinUserNamespace'), {
      op: 'joinUserNamespace',
      flags: CLONE_NEWNS | CLONE_NEWCGROUP,
    });
    assert.deepEqual(find(exec, 'joinUserNamespace'), { op: 'joinUserNamespace', flags: 0 });
  });

  it('should give ids as the host has them, and map those of volumes that ask for it', () => {
    const { launch, spec } = plansOf(MAPS);
    const directory = find(launch, 'mkdir', '/srv');
    assert.ok(directory?.op === 'mkdir');
    assert.deepEqual([directory.uid, directory.gid], [1000, 2000]);
    const terminals = find(launch, 'mount', '/dev/pts');
    assert.ok(terminals?.op === 'mount');
    assert.match(terminals.options, /(^|,)gid=2005(,|$)/);
    const volume = find(launch, 'bind', '/v');
    const hosts = find(launch, 'bind', '/etc/hosts');
    assert.ok(volume?.op === 'bind' && hosts?.op === 'bind');
    assert.deepEqual([volume.attributesSet, hosts.attributesSet], [MOUNT_ATTR_IDMAP, 0]);
    assert.deepEqual(idMapsOf(spec.linux), MAPS);
    assert.ok(spec.linux.namespaces.some(({ type }) => type === 'user'));
  });

  it('should take no step more where the pod has none', () => {
    const { launch, exec, spec } = plansOf();
    const more: Step['op'][] = ['actAsPodRoot', 'joinUserNamespace'];
    assert.deepEqual(
      [...ops(launch), ...ops(exec)].filter((op) => more.includes(op)),
      [],
    );
    assert.equal(idMapsOf(spec.linux), undefined);
    assert.ok(!JSON.stringify(spec).includes('Mappings'));
  });
});
