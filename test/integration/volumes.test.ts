/** Volumes that an image declares: directories of the container's own, with the image's content. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { busyboxTree, makeTar, type TarMember, writeLayout } from '../../scripts/busybox-image.mjs';
import { type ContainerConfig, type DeepPartial, NamespaceMode } from '../../src/cri/gen/cri.ts';
import { filesBelow } from '../helpers/image-fixture.ts';
import { exited, runPod, type TestPod } from '../helpers/pod.ts';
import { serverSuite } from '../helpers/server-suite.ts';

const IMAGE = 'test.local/volumes:1';

let pod: TestPod;

const server = serverSuite(async () => {
  await importImage(IMAGE, ['/data', '/data/', '/new/place']);
  pod = await runPod(server, IMAGE);
});

const CONTENT: TarMember[] = [
  { name: 'data/', type: 'dir', mode: 0o750, uid: 65534, gid: 65534 },
  { name: 'data/text', mode: 0o640, uid: 1000, gid: 1000, data: 'from the image' },
  { name: 'data/program', mode: 0o4755, data: '#!/bin/sh\n' },
  { name: 'data/again', type: 'hardlink', link: 'data/text' },
  { name: 'data/link', type: 'symlink', link: 'text' },
  { name: 'data/gone', data: 'of the layer below' },
  { name: 'data/sub/', type: 'dir', mode: 0o1777 },
  { name: 'data/sub/big', data: Buffer.alloc(300_000, 'x') },
  { name: 'alias', type: 'symlink', link: 'data' },
];

async function importImage(name: string, volumes: string[], more: TarMember[] = []) {
  const layout = join(server.dir, name.replaceAll(/\W/g, '-'));
  writeLayout(layout, {
    name,
    layers: [
      makeTar(busyboxTree()),
      makeTar([...CONTENT, ...more]),
      makeTar([{ name: 'data/.wh.gone' }]),
    ],
    config: { Volumes: Object.fromEntries(volumes.map((path) => [path, {}])) },
  });
  await server.importLayout(layout);
}

async function inside(more: DeepPartial<ContainerConfig> = {}) {
  const containerId = await pod.run(['sleep', '1000'], more);
  const run = async (script: string) => {
    const cmd = ['sh', '-c', `(${script}) 2>&1`];
    const { stdout, exitCode } = await server.client.execSync({ containerId, cmd });
    assert.equal(exitCode, 0, `${script}: ${stdout}`);
    return `${stdout}`.trim();
  };
  return { containerId, run };
}

test('a volume has the content of the image, with owners, modes and links', async () => {
  const { run, containerId } = await inside();
  assert.equal(await run('stat -c %u:%g:%a /data'), '65534:65534:750');
  assert.equal(await run('stat -c %u:%g:%a /data/text'), '1000:1000:640');
  assert.equal(await run('stat -c %a /data/program /data/sub'), '4755\n1777');
  assert.equal(await run('cat /data/link'), 'from the image');
  assert.equal(await run('readlink /data/link'), 'text');
  assert.equal(await run('stat -c %i /data/text'), await run('stat -c %i /data/again'));
  assert.equal(await run('stat -c %h /data/text'), '2');
  assert.equal(await run('ls -A /data'), 'again\nlink\nprogram\nsub\ntext');
  assert.equal(await run('wc -c < /data/sub/big'), '300000');
  assert.equal(await run('stat -c %Y /data/text'), '0');
  assert.equal(await run('stat -c %u:%g:%a /new/place; ls -A /new/place'), '0:0:755');
  await server.client.removeContainer({ containerId });
});

test('it is a mount of its own, writable below a read-only root, and gone with its container', async () => {
  const files = () => filesBelow(server.root).filter((file) => file.includes('/volumes/'));
  const security = { readonlyRootfs: true, runAsUser: { value: 65534n } };
  const one = await inside({ linux: { securityContext: security } });
  assert.match(await one.run('touch /x || true'), /Read-only/);
  assert.equal(await one.run('echo mine > /data/mine && cat /data/mine'), 'mine');
  assert.equal(await one.run('grep -c " /data " /proc/self/mountinfo'), '1');
  const other = await inside();
  assert.equal(await other.run('ls /data/mine 2>/dev/null || echo none'), 'none');
  const before = files().length;
  assert.ok(before > 0);
  await server.client.removeContainer({ containerId: one.containerId });
  assert.ok(files().length < before);
  await server.client.removeContainer({ containerId: other.containerId });
  assert.deepEqual(files(), []);
});

test('a mount of the same place goes before the volume', async () => {
  writeFileSync(join(server.dir, 'own'), 'of the host');
  const { run, containerId } = await inside({
    mounts: [{ hostPath: server.dir, containerPath: '/data/' }],
  });
  assert.equal(await run('cat /data/own'), 'of the host');
  assert.equal(await run('grep -c " /data " /proc/self/mountinfo'), '1');
  const { status } = await server.client.containerStatus({ containerId });
  assert.deepEqual(
    status?.mounts.map((mount) => mount.containerPath),
    ['/data/'],
  );
  await server.client.removeContainer({ containerId });
});

test('what is written outlives a restart of the server', async () => {
  const containerId = await pod.run(['sh', '-c', 'echo kept >> /data/note; cat /data/note'], {
    logPath: 'kept.log',
  });
  await exited(server, containerId);
  const created = await pod.create(['cat', '/data/text'], { logPath: 'created.log' });
  await server.end('SIGKILL');
  await server.launch();
  await server.client.startContainer({ containerId: created });
  await exited(server, created);
  assert.match(readFileSync(join(pod.logDir, 'created.log'), 'utf8'), /from the image/);
  for (const id of [containerId, created]) await server.client.removeContainer({ containerId: id });
});

test('a volume over a file is refused, one through a link follows it inside the image', async () => {
  await importImage('test.local/over-a-file:1', ['/data/text']);
  const image = { image: 'test.local/over-a-file:1' };
  await assert.rejects(
    pod.create(['true'], { image }),
    /9 FAILED_PRECONDITION: the image declares a volume at \/data\/text and has a file there/,
  );
  await importImage('test.local/over-a-link:1', ['/alias']);
  const { run, containerId } = await inside({ image: { image: 'test.local/over-a-link:1' } });
  assert.equal(await run('cat /alias/text /data/text'), 'from the imagefrom the image');
  await server.client.removeContainer({ containerId });
});

test('in a user namespace the owners are those of the image, and what is mounted stays', async (t) => {
  const { runtimeHandlers } = await server.client.status({});
  if (!runtimeHandlers[0]?.features?.userNamespaces) return t.skip('the host has none');
  const map = [{ hostId: 1_000_000, containerId: 0, length: 65536 }];
  const usernsOptions = { mode: NamespaceMode.POD, uids: map, gids: map };
  const namespaceOptions = { pid: NamespaceMode.CONTAINER, usernsOptions };
  const linux = { securityContext: { namespaceOptions } };
  const sandboxConfig = { metadata: { name: 'mapped', namespace: 'test', uid: 'mapped' }, linux };
  const { podSandboxId } = await server.client.runPodSandbox({ config: sandboxConfig });
  const image = { image: IMAGE };
  const { containerId } = await server.client.createContainer({
    podSandboxId,
    sandboxConfig,
    config: {
      metadata: { name: 'c' },
      image,
      command: ['sleep', '1000'],
      mounts: [{ containerPath: '/image', readonly: true, image, imageSubPath: 'data' }],
      linux,
    },
  });
  await server.client.startContainer({ containerId });
  const run = async (script: string) => {
    const cmd = ['sh', '-c', `(${script}) 2>&1`];
    return `${(await server.client.execSync({ containerId, cmd })).stdout}`.trim();
  };
  for (const path of ['/data', '/image']) {
    assert.equal(await run(`stat -c %u:%g:%a ${path}/text`), '1000:1000:640');
    assert.match(await run(`umount ${path}`), /not permitted/);
  }
  assert.equal(await run('touch /new/place/x; stat -c %u /new/place /new/place/x'), '0\n0');
  assert.match(await run('touch /image/x'), /Read-only/);
  await server.client.removePodSandbox({ podSandboxId });
});
