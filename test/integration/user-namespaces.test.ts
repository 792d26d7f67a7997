/** Pods with a user namespace of their own, over CRI, seen from inside and from the host. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  type ContainerConfig,
  type DeepPartial,
  NamespaceMode,
  SecurityProfile_ProfileType,
  type UserNamespace,
} from '../../src/cri/gen/cri.ts';
import { settledLeaks, snapshot } from '../helpers/leaks.ts';
import { exited, runPod, type TestPod } from '../helpers/pod.ts';
import { serverSuite } from '../helpers/server-suite.ts';

let image: string;
let pod: TestPod;

const server = serverSuite(async () => {
  image = await server.importBusybox();
  pod = await runUserPod();
});

const mapping = (hostId: number, length = 65_536) => [{ containerId: 0, hostId, length }];
const users = (hostId: number, length = 65_536): DeepPartial<UserNamespace> => ({
  mode: NamespaceMode.POD,
  uids: mapping(hostId, length),
  gids: mapping(hostId, length),
});
const MAPPED = users(200_000);
const mapped = { uidMappings: mapping(200_000), gidMappings: mapping(200_000) };

const runUserPod = (
  options = MAPPED,
  pid = NamespaceMode.CONTAINER,
  network = NamespaceMode.POD,
  privileged = false,
  sysctls: Record<string, string> = {},
) => runPod(server, image, pid, network, privileged, options, sysctls);

async function exec(containerId: string, script: string) {
  const cmd = ['sh', '-c', script];
  const { stdout, stderr, exitCode } = await server.client.execSync({ containerId, cmd });
  return { out: `${stdout}`.trim(), err: `${stderr}`.trim(), exitCode };
}

/** Starts a container that waits; answers with a function that runs a script in it. */
async function inside(more: DeepPartial<ContainerConfig> = {}, where = pod) {
  const containerId = await where.run(['sleep', '1000'], more);
  return { containerId, run: (script: string) => exec(containerId, script) };
}

const as = (securityContext: object) => ({ linux: { securityContext } });
/** AppArmor's default profile refuses mounts whatever the capabilities. */
const withCapability = (...names: string[]) =>
  as({
    capabilities: { addCapabilities: names },
    apparmor: { profileType: SecurityProfile_ProfileType.Unconfined },
  });

async function hostPid(containerId: string): Promise<number> {
  const { info } = await server.client.containerStatus({ containerId, verbose: true });
  return JSON.parse(info.info ?? '{}').pid;
}

async function upperOf(containerId: string): Promise<string> {
  return join(server.root, 'containers', containerId, 'upper');
}

const ownership = (path: string) => {
  const { uid, gid } = statSync(path);
  return [uid, gid];
};

test('root inside is nobody in particular outside', async () => {
  const { containerId, run } = await inside();
  assert.match((await run('id')).out, /^uid=0\(root\) gid=0\(root\) groups=0\(root\)$/);
  for (const kind of ['uid', 'gid']) {
    assert.match((await run(`cat /proc/self/${kind}_map`)).out, /^0 +200000 +65536$/);
  }
  const pid = await hostPid(containerId);
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  assert.match(status, /^Uid:\t200000\t200000\t200000\t200000$/m);
  assert.match(status, /^Gid:\t200000\t200000\t200000\t200000$/m);
  assert.match(status, /^Groups:\t200000 $/m);
  for (const kind of ['user', 'mnt', 'net', 'ipc', 'uts', 'cgroup']) {
    const host = readlinkSync(`/proc/self/ns/${kind}`);
    assert.notEqual(readlinkSync(`/proc/${pid}/ns/${kind}`), host, kind);
  }
  // A command that enters is in the same place.
  const namespaces = (await run('readlink /proc/1/ns/user; readlink /proc/self/ns/user')).out;
  const own = readlinkSync(`/proc/${pid}/ns/user`);
  assert.equal(namespaces, `${own}\n${own}`);
});

test('the root file system belongs to the root inside, and on the disk to root', async () => {
  const { containerId, run } = await inside();
  for (const path of [
    '/',
    '/bin/busybox',
    '/etc',
    '/etc/passwd',
    '/dev',
    '/dev/null',
    '/dev/shm',
  ]) {
    assert.equal((await run(`stat -c %u:%g ${path}`)).out, '0:0', path);
  }
  for (const path of ['/etc/hosts', '/etc/resolv.conf', '/etc/hostname', '/dev/pts/ptmx']) {
    assert.equal((await run(`stat -c %u:%g ${path}`)).out, '0:0', path);
  }
  const made = 'echo a > /made && chown 1000:2000 /made && mkdir -p /a/b && echo b >> /etc/passwd';
  assert.deepEqual(await run(made), { out: '', err: '', exitCode: 0 });
  const upper = await upperOf(containerId);
  assert.deepEqual(ownership(join(upper, 'made')), [1000, 2000]);
  assert.deepEqual(ownership(join(upper, 'a/b')), [0, 0]);
  assert.deepEqual(ownership(join(upper, 'etc/passwd')), [0, 0]);
  assert.equal((await run('echo 127.0.0.9 x >> /etc/hosts && cat /etc/hosts')).exitCode, 0);
});

test('pods with other ranges, and with none, share the same layers', async () => {
  const other = await runUserPod(users(400_000));
  const plain = await runPod(server, image);
  const lower = async (where: TestPod) => {
    const { run } = await inside({}, where);
    assert.equal((await run('stat -c %u:%g /bin/busybox')).out, '0:0');
    return /lowerdir\+?=([^,]+)/.exec((await run('cat /proc/mounts')).out)?.[1];
  };
  const [a, b, c] = [await lower(pod), await lower(other), await lower(plain)];
  assert.ok(a);
  assert.deepEqual([b, c], [a, a]);
  for (const { id } of [other, plain]) {
    await server.client.removePodSandbox({ podSandboxId: id });
  }
  assert.deepEqual(ownership(join(server.root, a, 'bin/busybox')), [0, 0]);
});

test('volumes: id-mapped ones store the ids of the pod, others show theirs as nobody', async () => {
  const dir = join(server.dir, 'volume');
  mkdirSync(join(dir, 'app'), { recursive: true });
  writeFileSync(join(dir, 'root'), 'r');
  chownSync(join(dir, 'app'), 1000, 1000);
  const { run } = await inside({
    mounts: [
      { hostPath: dir, containerPath: '/mapped', ...mapped },
      { hostPath: dir, containerPath: '/bare' },
      { hostPath: dir, containerPath: '/readonly', readonly: true, ...mapped },
      { hostPath: join(dir, 'root'), containerPath: '/a-file', ...mapped },
    ],
  });
  assert.equal(
    (await run('stat -c %u:%g /mapped/root /mapped/app /a-file')).out,
    '0:0\n1000:1000\n0:0',
  );
  assert.equal((await run('stat -c %u:%g /bare/root')).out, '65534:65534');
  assert.match((await run('echo x > /bare/new')).err, /Permission denied/);
  assert.match((await run('echo x > /readonly/new')).err, /Read-only file system/);
  assert.equal((await run('echo x > /mapped/new && chown 7:8 /mapped/new')).exitCode, 0);
  assert.deepEqual(ownership(join(dir, 'new')), [7, 8]);
  const app = await inside({
    mounts: [{ hostPath: dir, containerPath: '/v', ...mapped }],
    ...as({ runAsUser: { value: 1000n }, runAsGroup: { value: 1000n } }),
  });
  assert.equal((await app.run('echo x > /v/app/mine')).exitCode, 0);
  assert.deepEqual(ownership(join(dir, 'app/mine')), [1000, 1000]);
  const { status } = await server.client.containerStatus({ containerId: app.containerId });
  assert.deepEqual(status?.mounts[0]?.uidMappings, mapping(200_000));
  assert.deepEqual(status?.mounts[0]?.gidMappings, mapping(200_000));
  assert.equal(status?.user?.linux?.uid, 1000n);
});

test('stdio can be opened again by root and by others, with a terminal, too', async () => {
  const reopen = 'echo out > /dev/stdout; echo err > /proc/self/fd/2';
  for (const user of [{}, { runAsUser: { value: 1000n } }]) {
    const containerId = await pod.run(['sh', '-c', reopen], { ...as(user), logPath: 'reopen.log' });
    assert.equal((await exited(server, containerId)).exitCode, 0);
    const log = join(pod.logDir, 'reopen.log');
    const text = readFileSync(log, 'utf8');
    assert.match(text, / stdout F out\n/);
    assert.match(text, / stderr F err\n/);
    writeFileSync(log, '');
    const { containerId: waiting } = await inside(as(user));
    assert.deepEqual(await exec(waiting, reopen), { out: 'out', err: 'err', exitCode: 0 });
    const look = 'tty; stat -c %u:%g $(tty) /dev/console; echo t > /dev/console; echo t > /dev/tty';
    const terminal = await pod.run(['sh', '-c', look], {
      ...as(user),
      tty: true,
      logPath: 'tty.log',
    });
    assert.equal((await exited(server, terminal)).exitCode, 0);
    const shown = readFileSync(join(pod.logDir, 'tty.log'), 'utf8');
    const uid = 'runAsUser' in user ? 1000 : 0;
    assert.match(
      shown,
      new RegExp(`/dev/pts/0\\W[^]* ${uid}:5\\W[^]* ${uid}:5\\W[^]* t\\W[^]* t\\W`),
    );
    writeFileSync(join(pod.logDir, 'tty.log'), '');
  }
  assert.equal(statSync('/dev/null').uid, 0);
});

test('the namespaces belong to the pod: its root may use them, and sysctls are set', async () => {
  const where = await runUserPod(MAPPED, NamespaceMode.CONTAINER, NamespaceMode.POD, false, {
    'kernel.shm_rmid_forced': '1',
    'kernel.msgmax': '4096',
    'fs.mqueue.msg_max': '12',
    'net.ipv4.ip_unprivileged_port_start': '80',
    'net.ipv4.ping_group_range': '0 65535',
  });
  const { run } = await inside(withCapability('SYS_ADMIN', 'NET_ADMIN'), where);
  const read = 'cd /proc/sys; cat kernel/shm_rmid_forced kernel/msgmax fs/mqueue/msg_max';
  assert.equal((await run(read)).out, '1\n4096\n12');
  const net =
    'cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ping_group_range';
  assert.match((await run(net)).out, /^80\n0\s+65535$/);
  assert.equal((await run('hostname other && hostname')).out, 'other');
  assert.equal((await run('ip link set lo down && ip link set lo up')).exitCode, 0);
  assert.equal(
    (await run('mount -t tmpfs none /tmp && echo x > /tmp/x && umount /tmp')).exitCode,
    0,
  );
  for (const type of ['mqueue', 'cgroup2']) {
    assert.deepEqual(await run(`mount -t ${type} none /tmp && umount /tmp`), {
      out: '',
      err: '',
      exitCode: 0,
    });
  }
  await server.client.removePodSandbox({ podSandboxId: where.id });
});

test('what the runtime has mounted is locked, even for all capabilities', async () => {
  const { run } = await inside(
    as({
      capabilities: { addCapabilities: ['ALL'] },
      maskedPaths: ['/proc/keys', '/sys/firmware'],
      readonlyPaths: ['/proc/sys'],
    }),
  );
  assert.equal((await run('cat /proc/keys; ls /sys/firmware')).out, '');
  for (const path of ['/proc/keys', '/sys/firmware', '/proc/sys', '/sys/fs/cgroup', '/etc/hosts']) {
    assert.notEqual((await run(`umount ${path}`)).exitCode, 0, path);
  }
  assert.notEqual((await run('mount -o remount,bind,rw /sys')).exitCode, 0);
  assert.notEqual((await run('mount -o remount,bind,rw /proc/sys')).exitCode, 0);
  assert.notEqual((await run('mount -t proc none /tmp')).exitCode, 0);
  assert.notEqual((await run('mount -t sysfs none /tmp')).exitCode, 0);
  assert.notEqual((await run('mknod /tmp/disk b 254 0')).exitCode, 0);
});

test('privilege ends at the edge of the namespace', async () => {
  const where = await runUserPod(MAPPED, NamespaceMode.CONTAINER, NamespaceMode.POD, true);
  const node = join(server.dir, 'guarded');
  execFileSync('mknod', [node, 'c', '1', '3']);
  chmodSync(node, 0o600);
  const { run } = await inside(
    {
      ...as({ privileged: true }),
      devices: [{ hostPath: node, containerPath: '/dev/guarded', permissions: 'rwm' }],
    },
    where,
  );
  assert.equal((await run('stat -c %u:%g /dev/guarded /dev/zero')).out, '65534:65534\n0:0');
  assert.match((await run('echo x > /dev/guarded')).err, /Permission denied/);
  assert.match((await run('chmod 666 /dev/guarded')).err, /not permitted/);
  assert.notEqual((await run('echo h > /proc/sysrq-trigger')).exitCode, 0);
  assert.notEqual((await run('echo 1 > /proc/sys/kernel/panic')).exitCode, 0);
  for (const disk of (await run('ls /dev')).out
    .split('\n')
    .filter((name) => /^[sv]da/.test(name))) {
    assert.notEqual((await run(`head -c 1 /dev/${disk}`)).exitCode, 0, disk);
  }
  await server.client.removePodSandbox({ podSandboxId: where.id });
});

test("the host's network: its interfaces are seen and not touched, sysfs is there", async () => {
  const where = await runUserPod(MAPPED, NamespaceMode.CONTAINER, NamespaceMode.NODE);
  const { containerId, run } = await inside(withCapability('NET_ADMIN', 'SYS_ADMIN'), where);
  const pid = await hostPid(containerId);
  const host = readlinkSync(`/proc/${server.pid}/ns/net`);
  assert.equal(readlinkSync(`/proc/${pid}/ns/net`), host);
  assert.match((await run('id')).out, /^uid=0/);
  assert.match((await run('ls /sys/class/net')).out, /lo/);
  assert.notEqual((await run('ip link set lo down')).exitCode, 0);
  assert.notEqual((await run('hostname other')).exitCode, 0);
  assert.deepEqual(await run('ls / > /dev/null'), { out: '', err: '', exitCode: 0 });
  const { status } = await server.client.podSandboxStatus({ podSandboxId: where.id });
  assert.equal(status?.linux?.namespaces?.options?.network, NamespaceMode.NODE);
  await server.client.removePodSandbox({ podSandboxId: where.id });
});

test('a shared PID namespace, and one of another container', async () => {
  const where = await runUserPod(MAPPED, NamespaceMode.POD);
  const { containerId, run } = await inside({}, where);
  const second = await inside({}, where);
  assert.match((await run('ps')).out, /^ +1 /m);
  const shared = 'readlink /proc/self/ns/pid';
  assert.equal((await run(shared)).out, (await second.run(shared)).out);
  const beside = await inside(
    as({ namespaceOptions: { pid: NamespaceMode.TARGET, targetId: containerId } }),
    where,
  );
  assert.equal((await run(shared)).out, (await beside.run(shared)).out);
  assert.equal(
    (await run('readlink /proc/self/ns/user')).out,
    (await beside.run('readlink /proc/self/ns/user')).out,
  );
  await server.client.removePodSandbox({ podSandboxId: where.id });
});

test('limits, oom_score_adj, no_new_privs and seccomp hold as elsewhere', async () => {
  const { run } = await inside({
    linux: {
      securityContext: { noNewPrivs: true, seccomp: { profileType: 0 } },
      resources: { oomScoreAdj: 500n },
    },
  });
  const status = (await run('cat /proc/1/status /proc/1/oom_score_adj')).out;
  assert.match(status, /^NoNewPrivs:\t1$/m);
  assert.match(status, /^Seccomp:\t2$/m);
  assert.match(status, /\n500$/);
  assert.match(status, /^CapEff:\t00000000a80425fb$/m);
});

test('an id that the namespace lacks, and a file system without id maps, fail the start', async () => {
  const small = await runUserPod(users(300_000, 500));
  const failure = async (containerId: string) => {
    await assert.rejects(server.client.startContainer({ containerId }));
    const { status } = await server.client.containerStatus({ containerId });
    assert.equal(status?.reason, 'StartError');
    return status?.message ?? '';
  };
  const user = await small.create(['true'], as({ runAsUsername: 'app' }));
  assert.match(await failure(user), /map ids of user app: invalid argument/);
  const proc = await pod.create(['true'], {
    mounts: [{ hostPath: '/proc', containerPath: '/host', ...mapped }],
  });
  assert.match(
    await failure(proc),
    /map ids \(file system must allow it\) \/proc: invalid argument/,
  );
  await server.client.removePodSandbox({ podSandboxId: small.id });
});

test('what cannot be is refused by name', async () => {
  const refused = async (call: Promise<unknown>, message: RegExp) => {
    await assert.rejects(call, (error: Error & { code?: number }) => {
      assert.match(error.message, message);
      return true;
    });
  };
  const cases: [DeepPartial<UserNamespace>, RegExp][] = [
    [{ mode: NamespaceMode.POD }, /uids: \[\] must be exactly one mapping/],
    [{ ...MAPPED, uids: [...mapping(1000), ...mapping(70_000)] }, /must be exactly one mapping/],
    [
      { ...MAPPED, gids: [{ containerId: 1, hostId: 1000, length: 9 }] },
      /container_id: 1 must be 0/,
    ],
    [{ ...MAPPED, uids: mapping(0) }, /hostId: 0 is not an id of the host other than root's/],
    [{ ...MAPPED, uids: mapping(1000, 0) }, /length: 0 is not a number of ids/],
    [{ ...MAPPED, uids: mapping(4_294_967_290, 6) }, /length: 6 is not a number of ids/],
    [{ mode: NamespaceMode.CONTAINER }, /mode: "CONTAINER" must be one of POD, NODE/],
    [{ mode: NamespaceMode.TARGET }, /mode: "TARGET" must be one of POD, NODE/],
    [{ mode: NamespaceMode.NODE, uids: mapping(1000) }, /uids: .* needs mode POD/],
  ];
  for (const [options, message] of cases) await refused(runUserPod(options), message);
  await refused(runUserPod(MAPPED, NamespaceMode.NODE), /namespaces.pid: "node" is not possible/);

  const create = (more: DeepPartial<ContainerConfig>) => pod.create(['true'], more);
  await refused(create(as({ namespaceOptions: { usernsOptions: users(9000) } })), /is not the pod/);
  await refused(
    create(as({ runAsUser: { value: 65_536n } })),
    /runAsUser: 65536 is not in the map/,
  );
  await refused(create(as({ supplementalGroups: [70_000n] })), /supplementalGroups\[0\]: 70000/);
  const mount = { hostPath: '/tmp', containerPath: '/v' };
  await refused(
    create({ mounts: [{ ...mount, uidMappings: mapping(9000), gidMappings: mapping(9000) }] }),
    /are not those of the pod sandbox's user namespace/,
  );
  await refused(create({ mounts: [{ ...mount, uidMappings: mapping(200_000) }] }), /exactly one/);
  const plain = await runPod(server, image);
  await refused(plain.create(['true'], { mounts: [{ ...mount, ...mapped }] }), /are not those of/);
  await server.client.removePodSandbox({ podSandboxId: plain.id });
  const containerId = await create(as({ namespaceOptions: { pid: 1, usernsOptions: MAPPED } }));
  await server.client.removeContainer({ containerId });
});

test('a sandbox that fails while its namespaces are made leaves nothing', async () => {
  const before = snapshot();
  const failing = runUserPod(MAPPED, NamespaceMode.CONTAINER, NamespaceMode.POD, false, {
    'net.ipv4.no_such': '1',
  });
  await assert.rejects(failing, /set sysctl net.ipv4.no_such/);
  assert.deepEqual(await settledLeaks(before), {});
});

test('statuses tell the namespace, and it outlives the server', async () => {
  const { status, info } = await server.client.podSandboxStatus({
    podSandboxId: pod.id,
    verbose: true,
  });
  assert.deepEqual(status?.linux?.namespaces?.options?.usernsOptions, MAPPED);
  assert.ok(info);
  const { runtimeHandlers, features } = await server.client.status({});
  assert.ok(runtimeHandlers.every((handler) => handler.features?.userNamespaces));
  assert.ok(features?.userNamespacesHostNetwork);

  const { containerId } = await inside();
  await server.end('SIGKILL');
  await server.launch();
  assert.match((await exec(containerId, 'cat /proc/self/uid_map')).out, /^0 +200000 +65536$/);
  const late = await inside();
  assert.equal((await late.run('stat -c %u /bin/busybox')).out, '0');
});

test('the monitor keeps the host privileges and no process is left of the making', () => {
  const names = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const makers = names.filter((pid) => {
    const path = `/proc/${pid}/comm`;
    return existsSync(path) && readFileSync(path, 'utf8').startsWith('coracle-namespa');
  });
  assert.deepEqual(makers, []);
});
