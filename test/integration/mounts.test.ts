/** Mounts of host paths: what is read-only, how deep, with which flags, and passed on to whom. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  type ContainerConfig,
  type DeepPartial,
  type Mount,
  MountPropagation,
  NamespaceMode,
} from '../../src/cri/gen/cri.ts';
import { runPod, type TestPod } from '../helpers/pod.ts';
import { serverSuite } from '../helpers/server-suite.ts';

let image: string;
let pod: TestPod;
let dir: string;

const server = serverSuite(async () => {
  image = await server.importBusybox();
  pod = await runPod(server, image);
  dir = join(server.dir, 'host');
  mkdirSync(dir);
});

/** Starts a container that waits; answers with a function that runs a script in it. */
async function inside(mounts: DeepPartial<Mount>[], more: DeepPartial<ContainerConfig> = {}) {
  const containerId = await pod.run(['sleep', '1000'], { ...more, mounts });
  const run = async (script: string) => {
    const cmd = ['sh', '-c', `(${script}) 2>&1`];
    const { stdout, exitCode } = await server.client.execSync({ containerId, cmd });
    return { out: `${stdout}`.trim(), exitCode };
  };
  return { containerId, run };
}

/** A directory of the host with a tmpfs of its own at "below". */
function withMountBelow(name: string): { path: string; [Symbol.dispose](): void } {
  const path = join(dir, name);
  mkdirSync(join(path, 'below'), { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', join(path, 'below')]);
  return {
    path,
    [Symbol.dispose]: () => void execFileSync('umount', ['-l', join(path, 'below')]),
  };
}

test('read-only holds for the mount alone, recursively read-only for all below it', async () => {
  using host = withMountBelow('deep');
  const hostPath = host.path;
  const { run, containerId } = await inside([
    { hostPath, containerPath: '/ro', readonly: true },
    { hostPath, containerPath: '/rro', readonly: true, recursiveReadOnly: true },
  ]);
  assert.match((await run('touch /ro/x')).out, /Read-only file system/);
  assert.equal((await run('touch /ro/below/x')).exitCode, 0);
  assert.match((await run('touch /rro/x')).out, /Read-only file system/);
  assert.match((await run('touch /rro/below/y')).out, /Read-only file system/);
  const { status } = await server.client.containerStatus({ containerId });
  assert.deepEqual(
    status?.mounts.map((mount) => [mount.readonly, mount.recursiveReadOnly]),
    [
      [true, false],
      [true, true],
    ],
  );
  await server.client.removeContainer({ containerId });
});

test('the features are told, and contradictions refused as INVALID_ARGUMENT', async () => {
  const { runtimeHandlers, features } = await server.client.status({});
  assert.ok(runtimeHandlers.every((handler) => handler.features?.recursiveReadOnlyMounts));
  assert.equal(features?.mountOptions, true);
  const mount = { hostPath: dir, containerPath: '/m', recursiveReadOnly: true };
  for (const more of [
    {},
    { readonly: true, propagation: MountPropagation.PROPAGATION_HOST_TO_CONTAINER },
    { readonly: true, propagation: MountPropagation.PROPAGATION_BIDIRECTIONAL },
  ]) {
    await assert.rejects(pod.create(['true'], { mounts: [{ ...mount, ...more }] }), /^Error: 3 /);
  }
});

test('noexec, nodev and nosuid each hold', async () => {
  const hostPath = join(dir, 'flags');
  mkdirSync(hostPath);
  writeFileSync(join(hostPath, 'run'), '#!/bin/sh\necho ran\n', { mode: 0o755 });
  execFileSync('mknod', ['-m', '666', join(hostPath, 'null'), 'c', '1', '3']);
  const flags = ['noexec', 'nodev', 'nosuid'];
  const { run, containerId } = await inside([
    { hostPath, containerPath: '/plain' },
    ...flags.map((flag) => ({ hostPath, containerPath: `/${flag}`, mountOptions: [flag] })),
    { hostPath, containerPath: '/all', mountOptions: flags, readonly: true },
  ]);
  assert.equal((await run('/plain/run')).out, 'ran');
  assert.match((await run('/noexec/run')).out, /Permission denied/);
  assert.equal((await run('/nodev/run && /nosuid/run')).out, 'ran\nran');
  assert.equal((await run('echo x > /plain/null')).exitCode, 0);
  assert.match((await run('echo x > /nodev/null')).out, /Permission denied/);
  const options = async (path: string) =>
    (await run(`grep ' ${path} ' /proc/self/mountinfo`)).out.split(' ')[5]?.split(',') ?? [];
  assert.ok((await options('/nosuid')).includes('nosuid'));
  for (const flag of [...flags, 'ro']) assert.ok((await options('/all')).includes(flag), flag);
  for (const flag of flags) assert.ok(!(await options('/plain')).includes(flag), flag);
  const { status } = await server.client.containerStatus({ containerId });
  assert.deepEqual(status?.mounts.at(-1)?.mountOptions, flags);
  await server.client.removeContainer({ containerId });
});

test('a missing host path is made; a link leads to what is mounted', async () => {
  const missing = join(dir, 'made/for/the/pod');
  const link = join(dir, 'link');
  mkdirSync(join(dir, 'real'));
  symlinkSync('real', link);
  const { run, containerId } = await inside([
    { hostPath: missing, containerPath: '/made' },
    { hostPath: link, containerPath: '/linked' },
  ]);
  assert.equal((await run('touch /made/a /linked/b; ls /made /linked')).exitCode, 0);
  assert.deepEqual(readdirSync(missing), ['a']);
  assert.deepEqual(readdirSync(join(dir, 'real')), ['b']);
  assert.equal(statSync(missing).mode & 0o777, 0o755);
  await server.client.removeContainer({ containerId });
  assert.ok(existsSync(missing), 'it is the host’s');
});

test('mounts in mounts are made from the outside in, whatever their order', async () => {
  for (const name of ['outer', 'inner', 'file']) mkdirSync(join(dir, name));
  writeFileSync(join(dir, 'file/text'), 'of a file');
  const { run, containerId } = await inside([
    { hostPath: join(dir, 'file/text'), containerPath: '/a/b/c/text' },
    { hostPath: join(dir, 'inner'), containerPath: '/a/b', propagation: 0 },
    { hostPath: join(dir, 'outer'), containerPath: '/a' },
  ]);
  assert.equal((await run('cat /a/b/c/text; touch /a/b/in /a/out')).out, 'of a file');
  assert.deepEqual(readdirSync(join(dir, 'inner')).sort(), ['c', 'in']);
  assert.deepEqual(readdirSync(join(dir, 'outer')).sort(), ['b', 'out']);
  await server.client.removeContainer({ containerId });
});

test('what is to be passed on needs a source that is shared, or a slave', async () => {
  const hostPath = join(dir, 'propagation');
  mkdirSync(hostPath);
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', hostPath]);
  const { PROPAGATION_BIDIRECTIONAL: both, PROPAGATION_HOST_TO_CONTAINER: down } = MountPropagation;
  const privileged = await runPod(server, image, NamespaceMode.CONTAINER, NamespaceMode.POD, true);
  const create = (propagation: MountPropagation) =>
    privileged.create(['true'], {
      mounts: [{ hostPath, containerPath: '/m', propagation }],
      linux: { securityContext: { privileged: true } },
    });
  try {
    execFileSync('mount', ['--make-private', hostPath]);
    await assert.rejects(create(both), /mounts\[0\]\.propagation: .* not shared; rshared needs/);
    await assert.rejects(create(down), /which is not shared or slave; rslave needs one that is/);
    execFileSync('mount', ['--make-shared', hostPath]);
    const containerId = await create(both);
    // A slave of nobody is private again; a process that is launched ahead would be somebody.
    await server.client.removeContainer({ containerId });
    execFileSync('mount', ['--make-slave', hostPath]);
    await assert.rejects(create(down), /not shared or slave/);
  } finally {
    await server.client.removePodSandbox({ podSandboxId: privileged.id });
    execFileSync('umount', ['-l', hostPath]);
  }
});
