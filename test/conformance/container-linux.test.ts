/** Mounts that reach out of a container, and containers out of memory. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { status as Code } from '@grpc/grpc-js';
import { ContainerState, MountPropagation } from '../../src/cri/gen/cri.ts';
import { conformanceSuite, type Pod } from '../helpers/conformance.ts';

const { PROPAGATION_PRIVATE, PROPAGATION_HOST_TO_CONTAINER, PROPAGATION_BIDIRECTIONAL } =
  MountPropagation;
const PRIVILEGED = { securityContext: { privileged: true } };

/** A mount of the host that can be shared, with directories to mount on. */
let shared: string;
/** A directory with a tmpfs on "tmpfs". */
let nested: string;
let pod: Pod;

const suite = conformanceSuite({
  async prepare() {
    shared = join(suite.server.dir, 'shared');
    nested = join(suite.server.dir, 'nested');
    for (const dir of ['host', 'container']) mkdirSync(join(shared, dir), { recursive: true });
    mkdirSync(join(nested, 'tmpfs'), { recursive: true });
    execFileSync('mount', ['--bind', shared, shared]);
    execFileSync('mount', ['--make-rshared', shared]);
    execFileSync('mount', ['-t', 'tmpfs', 'none', join(nested, 'tmpfs')]);
    pod = await suite.pod({ linux: PRIVILEGED });
  },
  finish() {
    for (const dir of [join(nested, 'tmpfs'), shared]) execFileSync('umount', ['-l', dir]);
  },
});

for (const [propagation, into, out] of [
  [PROPAGATION_PRIVATE, false, false],
  [PROPAGATION_HOST_TO_CONTAINER, true, false],
  [PROPAGATION_BIDIRECTIONAL, true, true],
] as const) {
  test(`${MountPropagation[propagation]}: mounts ${into ? 'come in' : 'stay out'}${out ? ' and go out' : ''}`, async () => {
    const mount = { hostPath: shared, containerPath: '/shared', propagation };
    const containerId = await pod.run({ mounts: [mount], linux: PRIVILEGED });
    assert.equal((await suite.status(containerId)).mounts[0]?.propagation, propagation);
    const [host, container] = [join(shared, 'host'), join(shared, 'container')];
    execFileSync('mount', ['-t', 'tmpfs', 'none', host]);
    try {
      writeFileSync(join(host, 'seen'), '');
      assert.equal(await suite.shell(containerId, 'ls /shared/host'), into ? 'seen' : '');
      await suite.shell(
        containerId,
        'mount -t tmpfs none /shared/container && touch /shared/container/seen',
      );
      assert.equal(existsSync(join(container, 'seen')), out);
    } finally {
      await suite.client.removeContainer({ containerId });
      execFileSync('umount', ['-l', host]);
      if (out) execFileSync('umount', ['-l', container]);
    }
  });
}

test('a container out of memory is OOMKilled with 137, from the first status on (EX-5)', async () => {
  for (let i = 0; i < 5; i += 1) {
    const containerId = await pod.run({
      command: ['sh', '-c', 'dd if=/dev/zero of=/dev/null bs=20M'],
      linux: {
        resources: {
          memoryLimitInBytes: 15n << 20n,
          memorySwapLimitInBytes: 15n << 20n,
        },
      },
    });
    for (;;) {
      const { state, reason, exitCode } = await suite.status(containerId);
      if (state !== ContainerState.CONTAINER_EXITED) continue;
      assert.deepEqual([reason, exitCode], ['OOMKilled', 137]);
      break;
    }
  }
});

const READONLY = { containerPath: '/mnt', readonly: true };
const TOUCH = ['touch', '/mnt/tmpfs/file'];

test('a read-only mount leaves the mounts on it as they are', async () => {
  const id = await pod.run({ mounts: [{ ...READONLY, hostPath: nested }] });
  assert.equal((await suite.exec(id, 'touch', '/mnt/file')).exitCode, 1);
  assert.deepEqual(await suite.exec(id, ...TOUCH), { stdout: '', stderr: '', exitCode: 0 });
});

test('a recursively read-only mount takes the mounts on it along', async (t) => {
  const { runtimeHandlers } = await suite.client.status({});
  const { features } = runtimeHandlers.find(({ name }) => name === '') ?? {};
  if (!features?.recursiveReadOnlyMounts) {
    t.skip('the kernel has no recursive read-only mounts');
    return;
  }
  const id = await pod.run({
    mounts: [{ ...READONLY, hostPath: nested, recursiveReadOnly: true }],
  });
  assert.match((await suite.exec(id, ...TOUCH)).stderr, /Read-only file system/);
});

for (const [what, mount] of Object.entries({
  'mounts from the host come in': { ...READONLY, propagation: PROPAGATION_HOST_TO_CONTAINER },
  'mounts go both ways': { ...READONLY, propagation: PROPAGATION_BIDIRECTIONAL },
  'it is not read-only': { ...READONLY, readonly: false },
})) {
  test(`a recursively read-only mount is refused where ${what}`, async () => {
    await assert.rejects(
      pod.create({ mounts: [{ ...mount, hostPath: nested, recursiveReadOnly: true }] }),
      { code: Code.INVALID_ARGUMENT },
    );
  });
}
