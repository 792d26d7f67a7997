/**
 * A pod's log directory in the hands of a container, as where the host's is shared into one that
 * collects logs: the server opens log files as root, and what is logged is what containers write.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { beforeEach, test } from 'node:test';
import { ATTACKER, importAttacker } from '../helpers/attacker.ts';
import { exited, runPod, type TestPod } from '../helpers/pod.ts';
import { serverSuite } from '../helpers/server-suite.ts';

let image: string;
let pod: TestPod;
let outside: string;

const server = serverSuite(async () => {
  image = await importAttacker(server);
  outside = join(server.dir, 'outside');
});

beforeEach(async () => {
  pod = await runPod(server, image);
  mkdirSync(join(pod.logDir, 'web'));
  rmSync(outside, { recursive: true, force: true });
  mkdirSync(outside);
  writeFileSync(join(outside, '0.log'), 'untouched');
});

function outsideIsIntact(): void {
  assert.deepEqual(readdirSync(outside), ['0.log']);
  assert.equal(readFileSync(join(outside, '0.log'), 'utf8'), 'untouched');
}

async function startLogging(logPath: string): Promise<string> {
  const containerId = await pod.create(['sh', '-c', 'echo hostile'], { logPath });
  await server.client.startContainer({ containerId });
  return containerId;
}

test('a directory, on the way to a log, that is a link is not followed', async () => {
  const web = join(pod.logDir, 'web');
  rmSync(web, { recursive: true });
  symlinkSync(outside, web);
  for (const name of ['web/0.log', 'web/1.log', 'web/./0.log']) {
    await assert.rejects(startLogging(name), /open log .*: too many .*links/, name);
  }
  outsideIsIntact();
});

test('a log directory that has become a link is not followed', async () => {
  renameSync(pod.logDir, `${pod.logDir}.moved`);
  symlinkSync(outside, pod.logDir);
  for (const name of ['0.log', '1.log']) {
    await assert.rejects(
      startLogging(name),
      /open log .*: (too many .*links|not a directory)/,
      name,
    );
  }
  outsideIsIntact();
});

test('what is no regular file is no log, and is not even opened', async () => {
  const at = (name: string) => join(pod.logDir, 'web', name);
  symlinkSync(join(outside, '0.log'), at('link'));
  symlinkSync(join(outside, 'missing'), at('dangling'));
  mkdirSync(at('directory'));
  execFileSync('mkfifo', [at('fifo')]);
  execFileSync('mknod', [at('null'), 'c', '1', '3']);
  execFileSync('mknod', [at('disk'), 'b', '7', '0']);
  const reader = openSync(at('fifo'), constants.O_RDWR | constants.O_NONBLOCK);
  const listener = createServer().listen(at('socket'));
  try {
    for (const name of readdirSync(join(pod.logDir, 'web'))) {
      await assert.rejects(startLogging(`web/${name}`), /FAILED_PRECONDITION: open log/, name);
    }
  } finally {
    closeSync(reader);
    listener.close();
  }
  outsideIsIntact();
});

test('a log is not reopened elsewhere either, and what runs goes on', async () => {
  const script = 'while :; do echo line; sleep 0.02; done';
  const containerId = await pod.run(['sh', '-c', script], { logPath: 'web/0.log' });
  const web = join(pod.logDir, 'web');
  renameSync(web, `${web}.moved`);
  symlinkSync(outside, web);
  await assert.rejects(server.client.reopenContainerLog({ containerId }), /open log/);
  const log = `${web}.moved/0.log`;
  const size = readFileSync(log).length;
  for (const end = Date.now() + 10_000; readFileSync(log).length === size; ) {
    assert.ok(Date.now() < end, 'it logs where it did');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await server.client.removeContainer({ containerId });
  outsideIsIntact();
});

test('a log directory whose entries are swapped leads nowhere else', async () => {
  symlinkSync(outside, join(pod.logDir, 'link'));
  const attacker = await pod.run([ATTACKER, 'swap', '/logs/web', '/logs/link'], {
    mounts: [{ containerPath: '/logs', hostPath: pod.logDir }],
    logPath: '',
  });
  let started = 0;
  const end = Date.now() + 8_000;
  for (let turn = 0; turn < 100 && (Date.now() < end || turn < 20); turn += 1) {
    await startLogging(`web/${turn % 2 === 0 ? 0 : turn}.log`).then(
      async (containerId) => {
        started += 1;
        await exited(server, containerId, 30_000);
      },
      (error: Error) => assert.match(error.message, /open log/),
    );
  }
  await server.client.removeContainer({ containerId: attacker });
  assert.ok(started > 0, 'some start');
  outsideIsIntact();
});
