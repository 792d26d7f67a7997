/** Which namespaces a container has for itself, and which it shares with its pod or the host. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { status as Code } from '@grpc/grpc-js';
import { type DeepPartial, NamespaceMode, type NamespaceOption } from '../../src/cri/gen/cri.ts';
import { conformanceSuite } from '../helpers/conformance.ts';

const suite = conformanceSuite();
const { POD, CONTAINER, NODE, TARGET } = NamespaceMode;

/** A pod and a container in it with the same namespace options. */
async function inside(namespaceOptions: DeepPartial<NamespaceOption>) {
  const linux = { securityContext: { namespaceOptions } };
  const pod = await suite.pod({ linux });
  const id = await pod.run({ linux });
  return {
    pod,
    linux,
    shell: (script: string) => suite.shell(id, script),
    namespace: (kind: string) => suite.shell(id, `readlink /proc/self/ns/${kind}`),
  };
}

const ours = (kind: string) => readlinkSync(`/proc/self/ns/${kind}`);

test("the host's processes are seen in the host's PID namespace", async () => {
  const { namespace, shell, pod, linux } = await inside({ pid: NODE });
  assert.equal(await namespace('pid'), ours('pid'));
  const other = await pod.run({ command: ['sleep', '4321'], linux });
  const { info } = await suite.client.containerStatus({ containerId: other, verbose: true });
  const pid = JSON.parse(info.info ?? '{}').pid;
  assert.equal(await shell(`tr '\\0' ' ' </proc/${pid}/cmdline`), 'sleep 4321');
});

test("a pod's PID namespace has its own first process and all containers", async () => {
  const { namespace, shell, pod, linux } = await inside({ pid: POD });
  assert.notEqual(await namespace('pid'), ours('pid'));
  assert.doesNotMatch(await shell('cat /proc/1/cmdline'), /trap/);
  await pod.run({ command: ['sleep', '4321'], linux });
  assert.match(await shell(`cat /proc/[0-9]*/cmdline | tr '\\0' ' '`), /sleep 4321/);
});

test("a container's own PID namespace begins with its command, and shows no other", async () => {
  const { shell, pod, linux } = await inside({ pid: CONTAINER });
  await pod.run({ command: ['sleep', '4321'], linux });
  assert.match(await shell(`tr '\\0' ' ' </proc/1/cmdline`), /^sh -c trap/);
  assert.doesNotMatch(await shell(`cat /proc/[0-9]*/cmdline | tr '\\0' ' '`), /sleep 432[1]/);
});

test("shared memory of the host is seen in the host's IPC namespace, and not in a pod's", async () => {
  const made = execFileSync('ipcmk', ['-M', '1048576'], { encoding: 'utf8' });
  const id = /id: (\d+)/.exec(made)?.[1] ?? assert.fail(made);
  const ids = `awk 'NR > 1 { print $2 }' /proc/sysvipc/shm`;
  try {
    const host = await inside({ ipc: NODE });
    assert.ok((await host.shell(ids)).split('\n').includes(id));
    const pod = await inside({ ipc: POD });
    assert.equal(await pod.shell(ids), '');
  } finally {
    execFileSync('ipcrm', ['-m', id]);
  }
});

test("a socket of the host is seen in the host's network, and not in a pod's", async () => {
  const listener = createServer();
  await new Promise<void>((resolve) => listener.listen(0, resolve));
  try {
    const { port } = listener.address() as { port: number };
    const sockets = 'netstat -ltn';
    const host = await inside({ network: NODE });
    assert.match(await host.shell(sockets), new RegExp(`:${port} `));
    const pod = await inside({ network: POD });
    assert.doesNotMatch(await pod.shell(sockets), new RegExp(`:${port} `));
  } finally {
    listener.close();
  }
});

const MAPPING = { containerId: 0, hostId: 1000, length: 100000 };

async function userNamespaces(): Promise<boolean> {
  const { runtimeHandlers } = await suite.client.status({});
  return runtimeHandlers.find(({ name }) => name === '')?.features?.userNamespaces ?? false;
}

test("a pod's user namespace has the mapping that was asked for (ST-18)", async (t) => {
  if (!(await userNamespaces())) {
    t.skip('the host has no user namespaces with id-mapped mounts');
    return;
  }
  const usernsOptions = { mode: POD, uids: [MAPPING], gids: [MAPPING] };
  const { shell, namespace } = await inside({ usernsOptions });
  assert.notEqual(await namespace('user'), ours('user'));
  for (const map of ['uid_map', 'gid_map']) {
    assert.match(await shell(`cat /proc/self/${map}`), /^0 +1000 +100000$/);
  }
  assert.equal(await shell('stat -c %u:%g /bin'), '0:0');
});

test("a pod without user namespace is in the host's", async () => {
  const { namespace } = await inside({ usernsOptions: { mode: NODE } });
  assert.equal(await namespace('user'), ours('user'));
});

for (const [what, usernsOptions] of Object.entries({
  'two mappings': { mode: POD, uids: [MAPPING, MAPPING], gids: [MAPPING, MAPPING] },
  'no mapping of 0': {
    mode: POD,
    uids: [{ ...MAPPING, containerId: 1 }],
    gids: [{ ...MAPPING, containerId: 1 }],
  },
  'the mode of a container': { mode: CONTAINER },
  'the mode of a target': { mode: TARGET },
})) {
  test(`a user namespace with ${what} is refused`, async () => {
    await assert.rejects(inside({ usernsOptions }), { code: Code.INVALID_ARGUMENT });
  });
}
