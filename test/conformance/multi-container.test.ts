/** Containers that share a pod. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NamespaceMode } from '../../src/cri/gen/cri.ts';
import { conformanceSuite, eventually, readLog } from '../helpers/conformance.ts';

const suite = conformanceSuite();

const SERVE =
  'echo httpd serves; mkdir /www; echo page >/www/index.html; exec httpd -f -p 80 -h /www';

test('two containers of a pod share its network and have each its log, files and processes', async () => {
  const pod = await suite.pod();
  const linux = { securityContext: { namespaceOptions: { pid: NamespaceMode.CONTAINER } } };
  const web = await pod.run({ command: ['sh', '-c', SERVE], linux });
  const command = ['sh', '-c', 'echo hello World; sleep 1000'];
  const other = await pod.run({ command, linux });
  const { status } = await suite.client.podSandboxStatus({ podSandboxId: pod.id });
  const ip = status?.network?.ip;

  const body = await eventually('a page from outside', async () => {
    const answer = await fetch(`http://${ip}:80/`).catch(() => undefined);
    return answer?.text();
  });
  assert.equal(body, 'page\n');
  assert.equal(await suite.shell(other, 'wget -q -O - http://127.0.0.1/'), 'page');

  const log = async (id: string) => readLog((await suite.status(id)).logPath);
  assert.deepEqual((await log(web)).map(({ text }) => text)[0], 'httpd serves');
  assert.deepEqual(
    (await log(other)).map(({ text }) => text),
    ['hello World'],
  );

  assert.equal(await suite.shell(web, 'ls /www'), 'index.html');
  assert.notEqual((await suite.exec(other, 'ls', '/www')).exitCode, 0);
  const names = 'cat /proc/[0-9]*/comm';
  assert.match(await suite.shell(web, names), /httpd/);
  assert.doesNotMatch(await suite.shell(other, names), /httpd/);
});

test('one container of a pod ends and begins anew while the other goes on', async () => {
  const pod = await suite.pod();
  const stays = await pod.run();
  const began = (await suite.status(stays)).startedAt;
  for (const attempt of [1, 2]) {
    const { status } = await pod.complete({
      metadata: { name: 'again', attempt },
      command: ['sh', '-c', 'exit 3'],
    });
    assert.deepEqual([status.exitCode, status.reason], [3, 'Error']);
  }
  assert.equal((await suite.status(stays)).startedAt, began);
  assert.equal(await suite.shell(stays, 'echo alive'), 'alive');
});
