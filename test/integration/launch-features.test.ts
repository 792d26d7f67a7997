/** Every kind of thing that a container can ask for, over CRI, and seen from inside. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  type ContainerConfig,
  type DeepPartial,
  MountPropagation,
  NamespaceMode,
} from '../../src/cri/gen/cri.ts';
import { exited, runPod, type TestPod } from '../helpers/pod.ts';
import { serverSuite } from '../helpers/server-suite.ts';

let image: string;
let pod: TestPod;

const server = serverSuite(async () => {
  image = await server.importBusybox();
  pod = await runPod(server, image);
});

/** Starts a container that waits; answers with a function that runs a script in it. */
async function inside(more: DeepPartial<ContainerConfig> = {}, where: TestPod = pod) {
  const containerId = await where.run(['sleep', '1000'], more);
  const run = async (script: string) => {
    const cmd = ['sh', '-c', script];
    const { stdout, stderr, exitCode } = await server.client.execSync({ containerId, cmd });
    return { out: `${stdout}`.trim(), err: `${stderr}`.trim(), exitCode };
  };
  return { containerId, run };
}

/** The output of one container's own command. */
async function output(command: string[], more: DeepPartial<ContainerConfig> = {}, where = pod) {
  const containerId = await where.run(command, { ...more, logPath: 'output.log' });
  const status = await exited(server, containerId);
  const log = join(where.logDir, 'output.log');
  const lines = readFileSync(log, 'utf8')
    .split('\n')
    .map((line) => line.split(' ').slice(3).join(' '));
  writeFileSync(log, '');
  return { text: lines.join('\n').trim(), exitCode: status.exitCode, containerId };
}

const as = (securityContext: object) => ({ linux: { securityContext } });

test('users: by number, by name, with groups from the image and from the pod', async () => {
  const cases: [object, RegExp][] = [
    [{}, /^uid=0\(root\) gid=0\(root\)/],
    [
      { runAsUser: { value: 1000n } },
      /^uid=1000\(app\) gid=1000\(app\) groups=1000\(app\),2000\(extra\)/,
    ],
    [{ runAsUsername: 'app' }, /^uid=1000\(app\) gid=1000\(app\)/],
    [{ runAsUser: { value: 4242n } }, /^uid=4242 gid=0\(root\)/],
    [{ runAsUser: { value: 4242n }, runAsGroup: { value: 77n } }, /^uid=4242 gid=77/],
    [{ runAsUser: { value: 1000n }, supplementalGroups: [5555n] }, /5555/],
    [
      { runAsUser: { value: 1000n }, supplementalGroupsPolicy: 1 },
      /^uid=1000\(app\) gid=1000\(app\) groups=1000\(app\)$/,
    ],
  ];
  for (const [security, wanted] of cases) {
    const { text } = await output(['id'], as(security));
    assert.match(text, wanted);
  }
});

test('environment, working directory, arguments and HOME', async () => {
  const { text } = await output(['sh', '-c', 'echo "$A|$HOME|$PWD|$0|$1"'], {
    args: ['zero', 'one'],
    workingDir: '/tmp',
    envs: [{ key: 'A', value: Buffer.from('b c') }],
    ...as({ runAsUsername: 'app' }),
  });
  assert.match(text, /^b c\|\/[^|]*\|\/tmp\|zero\|one$/);
});

test('bind mounts: read-write, read-only, a single file, and a link as source', async () => {
  const dir = join(server.dir, 'volumes');
  mkdirSync(join(dir, 'rw'), { recursive: true });
  mkdirSync(join(dir, 'ro'));
  writeFileSync(join(dir, 'file'), 'one file\n');
  execFileSync('ln', ['-s', join(dir, 'rw'), join(dir, 'link')]);
  const { run } = await inside({
    mounts: [
      { hostPath: join(dir, 'rw'), containerPath: '/rw' },
      { hostPath: join(dir, 'ro'), containerPath: '/ro', readonly: true },
      { hostPath: join(dir, 'file'), containerPath: '/etc/a-file', readonly: true },
      { hostPath: join(dir, 'link'), containerPath: '/linked' },
    ],
  });
  assert.equal((await run('echo new > /rw/new && cat /linked/new')).out, 'new');
  assert.equal(readFileSync(join(dir, 'rw/new'), 'utf8'), 'new\n');
  assert.match((await run('echo x > /ro/x')).err, /Read-only file system/);
  assert.equal((await run('cat /etc/a-file')).out, 'one file');
});

test('propagation: a mount of the host shows in rslave and rshared, and back from rshared', async () => {
  const dir = join(server.dir, 'shared');
  mkdirSync(dir);
  execFileSync('mount', ['--bind', dir, dir]);
  execFileSync('mount', ['--make-rshared', dir]);
  try {
    for (const name of ['private', 'slave', 'both']) mkdirSync(join(dir, name));
    const kinds = {
      '/private': MountPropagation.PROPAGATION_PRIVATE,
      '/slave': MountPropagation.PROPAGATION_HOST_TO_CONTAINER,
      '/both': MountPropagation.PROPAGATION_BIDIRECTIONAL,
    };
    const privileged = await runPod(
      server,
      image,
      NamespaceMode.CONTAINER,
      NamespaceMode.POD,
      true,
    );
    const { run } = await inside(
      {
        mounts: Object.entries(kinds).map(([containerPath, propagation]) => ({
          hostPath: dir,
          containerPath,
          propagation,
        })),
        ...as({ privileged: true }),
      },
      privileged,
    );
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', join(dir, 'slave')]);
    writeFileSync(join(dir, 'slave', 'seen'), '');
    assert.equal((await run('ls /private/slave')).out, '');
    assert.equal((await run('ls /slave/slave')).out, 'seen');
    assert.equal((await run('ls /both/slave')).out, 'seen');
    const back = await run('mount -t tmpfs tmpfs /both/both && touch /both/both/from-inside');
    assert.equal(back.exitCode, 0, back.err);
    assert.deepEqual(readdirSync(join(dir, 'both')), ['from-inside']);
    await server.client.removePodSandbox({ podSandboxId: privileged.id });
  } finally {
    for (const path of ['both', 'slave', '']) {
      try {
        execFileSync('umount', ['-l', join(dir, path)], { stdio: 'ignore' });
      } catch {
        // It was not mounted.
      }
    }
  }
});

test('a read-only root, with writable mounts in it', async () => {
  const { run } = await inside(as({ readonlyRootfs: true }));
  assert.match((await run('echo x > /x')).err, /Read-only file system/);
  assert.equal((await run('echo x > /dev/shm/x && cat /dev/shm/x')).out, 'x');
});

test('namespaces: PID of the node, of a target, and what the pod shares', async () => {
  const host = readlinkSync('/proc/self/ns/pid');
  const { run, containerId } = await inside();
  assert.notEqual((await run('readlink /proc/self/ns/pid')).out, host);
  const node = await inside(as({ namespaceOptions: { pid: NamespaceMode.NODE } }));
  assert.equal((await node.run('readlink /proc/self/ns/pid')).out, host);
  const target = await inside(
    as({ namespaceOptions: { pid: NamespaceMode.TARGET, targetId: containerId } }),
  );
  const namespace = async (of: typeof node, kind: string) =>
    (await of.run(`readlink /proc/self/ns/${kind}`)).out;
  assert.equal(await namespace(target, 'pid'), (await run('readlink /proc/self/ns/pid')).out);
  for (const kind of ['net', 'ipc', 'uts']) {
    assert.equal(await namespace(target, kind), (await run(`readlink /proc/self/ns/${kind}`)).out);
  }
  await run('echo shared > /dev/shm/note');
  assert.equal((await node.run('cat /dev/shm/note')).out, 'shared');
});

test('the network and names of the node', async () => {
  const onNode = await runPod(server, image, NamespaceMode.CONTAINER, NamespaceMode.NODE);
  const { run } = await inside({}, onNode);
  assert.equal((await run('readlink /proc/self/ns/net')).out, readlinkSync('/proc/self/ns/net'));
  const { status } = await server.client.podSandboxStatus({ podSandboxId: onNode.id });
  assert.equal(status?.network?.ip ?? '', '');
  await server.client.removePodSandbox({ podSandboxId: onNode.id });
});

test('limits arrive in the cgroup', async () => {
  const { run } = await inside({
    linux: {
      resources: {
        memoryLimitInBytes: 32n << 20n,
        cpuQuota: 20000n,
        cpuPeriod: 100000n,
        cpuShares: 512n,
        cpusetCpus: '0',
      },
    },
  });
  const v2 = (await run('test -e /sys/fs/cgroup/cgroup.controllers && echo yes')).out === 'yes';
  const files: [string, string][] = v2
    ? [
        ['/sys/fs/cgroup/memory.max', String(32 << 20)],
        ['/sys/fs/cgroup/cpu.max', '20000 100000'],
        ['/sys/fs/cgroup/cpuset.cpus', '0'],
      ]
    : [
        ['/sys/fs/cgroup/memory/memory.limit_in_bytes', String(32 << 20)],
        ['/sys/fs/cgroup/cpu/cpu.cfs_quota_us', '20000'],
        ['/sys/fs/cgroup/cpu/cpu.shares', '512'],
        ['/sys/fs/cgroup/cpuset/cpuset.cpus', '0'],
      ];
  for (const [file, value] of files) assert.equal((await run(`cat ${file}`)).out, value, file);
});

test('EX-5: a container over its memory is OOMKilled', async () => {
  const id = await pod.run(['sh', '-c', 'x=a; while true; do x=$x$x; done'], {
    linux: { resources: { memoryLimitInBytes: 16n << 20n } },
  });
  const status = await exited(server, id, 30_000);
  assert.equal(status.exitCode, 137);
  assert.equal(status.reason, 'OOMKilled');
});

test('devices: only those asked for, with the rights asked for', async () => {
  const { run } = await inside({
    devices: [{ hostPath: '/dev/loop-control', containerPath: '/dev/asked', permissions: 'r' }],
  });
  assert.match((await run('ls -l /dev/asked')).out, /^crw.* 10, +237 /);
  const open = async (how: string) => (await run(`exec 3${how}/dev/asked`)).exitCode;
  assert.equal(await open('<'), 0);
  assert.notEqual(await open('>'), 0);
  const none = await run('mknod /tmp/mem c 1 1 && exec 3</tmp/mem');
  assert.notEqual(none.exitCode, 0);
});

test('privileged: every capability, no filter, the devices of the host', async () => {
  const privileged = await runPod(server, image, NamespaceMode.CONTAINER, NamespaceMode.POD, true);
  const { run } = await inside(as({ privileged: true }), privileged);
  const { out } = await run('cat /proc/self/status');
  const host = /^CapBnd:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  assert.equal(/^CapEff:\s*(\S+)/m.exec(out)?.[1], host);
  assert.match(out, /^Seccomp:\s*0$/m);
  assert.equal((await run('test -c /dev/loop-control && echo yes')).out, 'yes');
  await server.client.removePodSandbox({ podSandboxId: privileged.id });
});

test('a terminal is one stream of the log, with the line ends of a file', async () => {
  const { text, exitCode } = await output(['sh', '-c', 'tty; echo to-err >&2; exit 3'], {
    tty: true,
  });
  assert.equal(exitCode, 3);
  assert.match(text, /^\/dev\/pts\/0\nto-err$/);
});

test('sysctls of the pod, and none of the host', async () => {
  const { client } = server;
  const config = { ...pod.config, metadata: { ...pod.config.metadata, attempt: 7 } };
  const safe = { 'net.ipv4.ip_unprivileged_port_start': '80', 'kernel.shm_rmid_forced': '1' };
  const { podSandboxId } = await client.runPodSandbox({
    config: { ...config, linux: { sysctls: safe } },
  });
  const { containerId } = await client.createContainer({
    podSandboxId,
    config: { metadata: { name: 's' }, image: { image }, command: ['sleep', '1000'] },
    sandboxConfig: config,
  });
  await client.startContainer({ containerId });
  for (const [name, value] of Object.entries(safe)) {
    const cmd = ['cat', `/proc/sys/${name.replaceAll('.', '/')}`];
    const { stdout } = await client.execSync({ containerId, cmd });
    assert.equal(`${stdout}`.trim(), value);
  }
  await client.removePodSandbox({ podSandboxId });
  const host = { ...config, linux: { sysctls: { 'vm.swappiness': '1' } } };
  await assert.rejects(client.runPodSandbox({ config: host }), /vm\.swappiness/);
});
