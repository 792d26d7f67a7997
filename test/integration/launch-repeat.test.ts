/** The same launch over and over: nothing is lost and nothing is left. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { ContainerConfig, DeepPartial } from '../../src/cri/gen/cri.ts';
import { ContainerState, SecurityProfile_ProfileType } from '../../src/cri/gen/cri.ts';
import { settledLeaks, snapshot } from '../helpers/leaks.ts';
import { exited, runPod, type TestPod } from '../helpers/pod.ts';
import { TestServer } from '../helpers/server.ts';

let server: TestServer;
let pod: TestPod;

before(async () => {
  server = await TestServer.start();
  pod = await runPod(server, await server.importBusybox());
  // The first of each kind fills caches: file descriptors and files are counted after it.
  const id = await pod.run(['/bin/true']);
  await exited(server, id);
  await server.client.removeContainer({ containerId: id });
  for (const [, config] of Object.entries(failures())) await failOnce(config);
});

after(() => server.close());

const watched = () => ({ dirs: [join(server.root, 'containers'), server.state], pid: server.pid });

test('ST-12: 200 times create, start /bin/true, wait, remove', async () => {
  const before = snapshot(watched());
  for (let turn = 0; turn < 200; turn += 1) {
    const id = await pod.run(['/bin/true']);
    const status = await exited(server, id);
    assert.equal(status.exitCode, 0);
    assert.equal(status.reason, 'Completed');
    assert.ok(status.finishedAt >= status.startedAt && status.startedAt > 0n);
    await server.client.removeContainer({ containerId: id });
  }
  assert.deepEqual(await settledLeaks(before, watched()), {});
});

interface Failure {
  config: DeepPartial<ContainerConfig>;
  command: string[];
  message: RegExp;
}

function failures(): Record<string, Failure> {
  const profile = join(server.dir, 'bad-seccomp.json');
  writeFileSync(profile, JSON.stringify(unloadableProfile()));
  return {
    'missing binary': {
      command: ['/no/such'],
      config: {},
      message: /exec \/no\/such: no such file or directory/i,
    },
    'bad cwd': {
      command: ['/bin/true'],
      config: { workingDir: '/etc/passwd/nowhere' },
      message: /\/etc\/passwd\/nowhere: not a directory/i,
    },
    'unknown user': {
      command: ['/bin/true'],
      config: { linux: { securityContext: { runAsUsername: 'nosuchuser' } } },
      message: /nosuchuser/,
    },
    'bad mount source': {
      command: ['/bin/true'],
      config: { mounts: [{ containerPath: '/mnt', hostPath: '/etc/passwd/source' }] },
      message: /mount source \/etc\/passwd\/source: not a directory/i,
    },
    'unloadable seccomp profile': {
      command: ['/bin/true'],
      config: {
        linux: {
          securityContext: {
            seccomp: {
              profileType: SecurityProfile_ProfileType.Localhost,
              localhostRef: profile,
            },
          },
        },
      },
      message: /seccomp/i,
    },
  };
}

/** A profile that is well-formed, but too long for the kernel (BPF_MAXINSNS, 4096). */
function unloadableProfile(): object {
  const args = (value: number) => [{ index: 0, value, valueTwo: 0, op: 'SCMP_CMP_EQ' }];
  return {
    defaultAction: 'SCMP_ACT_ALLOW',
    architectures: ['SCMP_ARCH_X86_64'],
    syscalls: Array.from({ length: 5000 }, (_, value) => ({
      names: ['ioperm'],
      action: 'SCMP_ACT_ERRNO',
      args: args(value),
    })),
  };
}

async function failOnce({ command, config, message }: Failure): Promise<void> {
  const id = await pod.create(command, config);
  await assert.rejects(
    server.client.startContainer({ containerId: id }),
    (error: Error) => message.test(error.message),
    `a start that must say ${message}`,
  );
  const { status } = await server.client.containerStatus({ containerId: id });
  assert.equal(status?.state, ContainerState.CONTAINER_EXITED);
  assert.equal(status?.exitCode, 128);
  assert.equal(status?.reason, 'StartError');
  assert.match(status?.message ?? '', message);
  assert.ok((status?.finishedAt ?? 0n) > 0n);
  await assert.rejects(server.client.startContainer({ containerId: id }), /exited/i, 'ST-1');
  await server.client.removeContainer({ containerId: id });
}

test('ST-6, ST-7: 100 starts that fail say why and leave nothing', async () => {
  const before = snapshot(watched());
  for (let turn = 0; turn < 20; turn += 1) {
    for (const failure of Object.values(failures())) await failOnce(failure);
  }
  assert.deepEqual(await settledLeaks(before, watched()), {});
});

test('ST-17: a log directory that is missing fails the start', async () => {
  mkdirSync(join(pod.logDir, 'occupied.log'));
  for (const logPath of ['no/such/dir/c.log', 'occupied.log']) {
    await failOnce({ command: ['/bin/true'], config: { logPath }, message: /open log/ });
  }
});
