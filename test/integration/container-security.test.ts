/** What a container can see and do, asked from inside: the plan as the kernel carries it out. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { DeepPartial } from '../../src/cri/gen/cri.ts';
import {
  type ContainerConfig,
  type LinuxContainerConfig,
  SecurityProfile_ProfileType as ProfileType,
} from '../../src/cri/gen/cri.ts';
import { runPod, type TestPod } from '../helpers/pod.ts';
import { serverSuite } from '../helpers/server-suite.ts';

type Linux = DeepPartial<LinuxContainerConfig>;

const FILTERED: Linux = {
  securityContext: { seccomp: { profileType: ProfileType.RuntimeDefault } },
};

let pod: TestPod;

const server = serverSuite(async () => {
  pod = await runPod(server, await server.importBusybox());
});

/** A container that waits, and a shell in it; stdout of a command that must succeed. */
async function shell(linux: Linux, more: DeepPartial<ContainerConfig> = {}) {
  const containerId = await pod.run(['sleep', '1000'], { ...more, linux });
  return async (script: string): Promise<string> => {
    const cmd = ['sh', '-c', `(${script}) 2>&1`];
    const { stdout, exitCode } = await server.client.execSync({ containerId, cmd });
    const text = stdout.toString().trim();
    assert.equal(exitCode, 0, `${script}: ${text}`);
    return text;
  };
}

const field = (status: string, name: string) =>
  new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(status)?.[1];

test('the default filter and capabilities hold for init and exec, as root and as another', async () => {
  for (const uid of [0n, 1000n]) {
    for (const noNewPrivs of [false, true]) {
      const run = await shell({
        securityContext: { ...FILTERED.securityContext, runAsUser: { value: uid }, noNewPrivs },
      });
      for (const process of ['1', 'self']) {
        const status = await run(`cat /proc/${process}/status`);
        const what = `uid ${uid}, no_new_privs ${noNewPrivs}, ${process}`;
        assert.equal(field(status, 'Seccomp'), '2', what);
        assert.equal(field(status, 'NoNewPrivs'), noNewPrivs ? '1' : '0', what);
        assert.equal(field(status, 'Uid'), `${uid}`, what);
        assert.equal(field(status, 'CapBnd'), '00000000a80425fb', what);
        assert.equal(field(status, 'CapInh'), '0000000000000000', what);
        const effective = uid === 0n ? '00000000a80425fb' : '0000000000000000';
        assert.equal(field(status, 'CapEff'), effective, what);
      }
      // Outside the filter this is EPERM by the missing capability, inside by the filter: both.
      assert.match(await run('unshare -m true || echo refused'), /refused/);
    }
  }
});

test('a filter without no_new_privs sees nothing of the change of user', async () => {
  const localhostRef = join(server.dir, 'filter.json');
  const names = ['setresuid', 'setresgid', 'setgroups', 'chdir', 'fchdir', 'openat2'];
  const refused = { names, action: 'SCMP_ACT_ERRNO' };
  writeFileSync(
    localhostRef,
    JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [refused] }),
  );
  const run = await shell({
    securityContext: {
      seccomp: { profileType: ProfileType.Localhost, localhostRef },
      runAsUser: { value: 7n },
    },
  });
  assert.match(await run('id -u; cd / || echo refused'), /^7\n[\s\S]*refused$/);
});

test('paths of the whole machine are hidden or cannot be written', async () => {
  const run = await shell(FILTERED);
  assert.equal(await run('cat /proc/interrupts /proc/keys /proc/timer_list | wc -c'), '0');
  assert.equal(await run('ls /sys/firmware | wc -l'), '0');
  for (const change of ['echo 1 > /proc/sys/kernel/panic', 'touch /sys/kernel']) {
    assert.match(await run(`${change} || echo refused`), /Read-only file system[\s\S]*refused/);
  }
});

test('cgroups show the container alone, and cannot be written', async () => {
  const run = await shell({
    ...FILTERED,
    resources: { memoryLimitInBytes: 64n << 20n, cpuQuota: 50000n, cpuPeriod: 100000n },
  });
  const cgroups = (await run('cat /proc/1/cgroup')).split('\n');
  assert.ok(cgroups.length > 0);
  for (const line of cgroups) assert.match(line, /:\/$/);
  const limit = '/sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes';
  assert.equal(await run(`cat ${limit} 2>/dev/null || true`), `${64 << 20}`);
  assert.match(await run('mkdir /sys/fs/cgroup/x || echo refused'), /Read-only[\s\S]*refused/);
  assert.match(
    await run('for d in /sys/fs/cgroup/*/; do mkdir $d/x && echo made; done; echo end'),
    /^(?![\s\S]*made)[\s\S]*end$/,
  );
});

test('/dev has its nodes and links, and other devices do not open', async () => {
  const run = await shell(FILTERED);
  assert.equal(
    await run('head -c 4 /dev/zero | wc -c; echo x > /dev/null; head -c 1 /dev/urandom | wc -c'),
    '4\n1',
  );
  assert.equal(
    await run('for f in ptmx fd stdout; do readlink /dev/$f; done'),
    'pts/ptmx\n/proc/self/fd\n/proc/self/fd/1',
  );
  // Making a node is allowed, opening it is not.
  assert.match(
    await run('mknod /tmp/kmsg c 1 11 && head -c 1 /tmp/kmsg || echo refused'),
    /refused/,
  );
});

test('a working directory that is closed to the user is entered all the same', async () => {
  const hostPath = join(server.dir, 'closed');
  mkdirSync(hostPath, { mode: 0o700 });
  const run = await shell(
    { securityContext: { ...FILTERED.securityContext, runAsUser: { value: 7n } } },
    { workingDir: '/closed', mounts: [{ containerPath: '/closed', hostPath }] },
  );
  assert.equal(
    await run('readlink /proc/self/cwd; ls 2>/dev/null || echo closed'),
    '/closed\nclosed',
  );
});

test('a missing working directory is made, below a read-only root, too', async () => {
  for (const readonlyRootfs of [false, true]) {
    const run = await shell(
      {
        securityContext: { ...FILTERED.securityContext, readonlyRootfs, runAsUser: { value: 7n } },
      },
      { workingDir: '/srv/made/here' },
    );
    assert.equal(await run('pwd; stat -c %u:%a .'), '/srv/made/here\n0:755');
    const written = await run('touch /x 2>/dev/null && echo yes || echo no');
    assert.equal(written, 'no');
  }
});
