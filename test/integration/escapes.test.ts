/** What processes of containers hold of the host, and the host of theirs; see cve-*.test.ts, too. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import {
  type ContainerConfig,
  type DeepPartial,
  NamespaceMode,
  type UserNamespace,
} from '../../src/cri/gen/cri.ts';
import { runPod, type TestPod } from '../helpers/pod.ts';
import { serverSuite } from '../helpers/server-suite.ts';

let image: string;

const server = serverSuite(async () => {
  image = await server.importBusybox();
});

const mapping = [{ containerId: 0, hostId: 500_000, length: 65_536 }];
const USERS = { mode: NamespaceMode.POD, uids: mapping, gids: mapping };
const KINDS: [name: string, pid: NamespaceMode, users?: DeepPartial<UserNamespace>][] = [
  ['a pod', NamespaceMode.CONTAINER],
  ['a pod with one PID namespace', NamespaceMode.POD],
  ['a pod with a user namespace', NamespaceMode.CONTAINER, USERS],
];

async function exec(containerId: string, script: string): Promise<string> {
  const cmd = ['sh', '-c', script];
  const { stdout, stderr } = await server.client.execSync({ containerId, cmd });
  return `${stdout}${stderr}`.trim();
}

async function hostPid(containerId: string): Promise<number> {
  const { info } = await server.client.containerStatus({ containerId, verbose: true });
  return JSON.parse(info.info ?? '{}').pid;
}

for (const [name, pid, users] of KINDS) {
  describe(name, () => {
    let pod: TestPod;

    before(async () => {
      pod = await runPod(server, image, pid, NamespaceMode.POD, false, users);
    });

    test('processes have their three streams and no other descriptor', async () => {
      const configs: DeepPartial<ContainerConfig>[] = [
        {},
        { tty: true },
        { stdin: true },
        { mounts: [{ containerPath: '/image', image: { image }, readonly: true }] },
        { mounts: [{ containerPath: '/host', hostPath: server.dir, readonly: true }] },
      ];
      for (const config of configs) {
        const containerId = await pod.run(['sleep', '1000'], config);
        const dir = `/proc/${await hostPid(containerId)}`;
        assert.deepEqual(readdirSync(`${dir}/fd`), ['0', '1', '2'], JSON.stringify(config));
        for (const fd of ['0', '1', '2']) {
          assert.match(readlinkSync(`${dir}/fd/${fd}`), /^(pipe:\[\d+\]|\/dev\/(null|pts\/0))$/);
        }
        assert.equal(readlinkSync(`${dir}/cwd`), '/');
        assert.equal(readlinkSync(`${dir}/root`), '/');
        const shell = 'ls /proc/$$/fd; readlink /proc/$$/cwd; readlink /proc/$$/root';
        assert.equal(await exec(containerId, shell), '0\n1\n2\n/\n/');
      }
    });

    test("the host's null device takes no change from those who have it as stdin", async () => {
      const containerId = await pod.run(['sleep', '1000']);
      const before = statSync('/dev/null');
      // Process 1 is the container's where the PID namespace is.
      for (const process of pid === NamespaceMode.CONTAINER ? ['self', '1'] : ['self']) {
        const stdin = `/proc/${process}/fd/0`;
        assert.equal(await exec(containerId, `echo x > ${stdin} && head -c 1 ${stdin}`), '');
        // Changes that would change nothing: this is the host of the tests, too.
        for (const change of ['chmod 666', 'chown 0:0', 'touch']) {
          assert.match(
            await exec(containerId, `${change} ${stdin}`),
            /Read-only file system|not permitted/,
            `${change} ${stdin}`,
          );
        }
      }
      assert.equal(statSync('/dev/null').ctimeMs, before.ctimeMs);
      // The one over masked paths is the container's own.
      assert.equal(await exec(containerId, 'chmod 600 /dev/null; stat -c %a /dev/null'), '600');
      assert.equal(statSync('/dev/null').mode, before.mode);
    });
  });
}

test("a container's set-user-ID program is out of reach for the host's users (CVE-2021-41103)", async () => {
  chmodSync(server.dir, 0o711);
  for (const users of [undefined, USERS]) {
    const pod = await runPod(
      server,
      image,
      NamespaceMode.CONTAINER,
      NamespaceMode.POD,
      false,
      users,
    );
    const containerId = await pod.run(['sleep', '1000']);
    assert.equal(await exec(containerId, 'cp /bin/busybox /suid && chmod 4755 /suid'), '');
    const program = join(server.root, 'containers', containerId, 'upper/suid');
    const { uid, mode } = statSync(program);
    assert.deepEqual([uid, mode & 0o7777], [0, 0o4755]);
    const other = { uid: 1000, gid: 1000 };
    assert.equal(spawnSync(program, ['true'], other).error?.message, `spawnSync ${program} EACCES`);
    assert.equal(spawnSync('ls', [join(server.root, 'layers/1/fs')], other).status, 2);
  }
});
