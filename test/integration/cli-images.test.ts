/** The image commands, on a root directory of their own and through a server that has it open. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { makeBusyboxLayout } from '../../scripts/busybox-image.mjs';
import { CLI } from '../helpers/cli.ts';
import { runPod } from '../helpers/pod.ts';
import { TestServer } from '../helpers/server.ts';

const NAME = 'test.local/tool:1';

let server: TestServer;
let layout: string;

before(async () => {
  server = await TestServer.start();
  layout = join(server.dir, 'tool');
  await makeBusyboxLayout(layout, { name: NAME });
});
after(() => server.close());

function coracle(...args: string[]) {
  const where = ['--root', server.root, '--state', server.state];
  where.push('--listen', `unix://${server.socket}`, '--log-level', 'silent');
  const all = [...CLI, ...args, ...where];
  return new Promise<{ code: unknown; stdout: string; stderr: string }>((done) => {
    execFile(process.execPath, all, (error, stdout, stderr) =>
      done({ code: error?.code ?? 0, stdout, stderr }),
    );
  });
}

async function lifeOfAnImage() {
  assert.deepEqual(await coracle('import', layout), { code: 0, stdout: `${NAME}\n`, stderr: '' });
  const { stdout } = await coracle('images');
  assert.match(stdout, /^IMAGE +ID +SIZE\ntest\.local\/tool:1 +[0-9a-f]{12} +[\d.]+ [kM]?B\n$/);
  assert.equal((await coracle('rmi', NAME)).code, 0);
  const again = await coracle('rmi', NAME);
  assert.equal(again.code, 1);
  assert.equal(again.stderr, `coracle: image "${NAME}" not found\n`);
  const missing = await coracle('import', join(server.dir, 'no-such-file'));
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /^coracle: .*no-such-file.*\n$/);
}

test('go through the server while one runs', lifeOfAnImage);

test('a second server is refused on the same socket and on the same root', async () => {
  const socket = await coracle('serve');
  assert.equal(socket.code, 1);
  assert.equal(socket.stderr, `coracle: another server is listening on ${server.socket}\n`);
  const other = `unix://${join(server.dir, 'other.sock')}`;
  const root = await new Promise<{ code: unknown; stderr: string }>((done) => {
    const args = [...CLI, 'serve', '--root', server.root, '--state', server.state];
    execFile(
      process.execPath,
      [...args, '--listen', other, '--log-level', 'silent'],
      (error, _, stderr) => done({ code: error?.code ?? 0, stderr }),
    );
  });
  assert.equal(root.code, 1);
  assert.match(root.stderr, new RegExp(`^coracle: .*\\b${server.pid}\\b.*\n$`));
  await assert.rejects(stat(join(server.dir, 'other.sock')), { code: 'ENOENT' });
});

test('SIGTERM ends the server, takes its socket away and leaves containers running', async () => {
  await coracle('import', layout);
  const pod = await runPod(server, NAME);
  const containerId = await pod.run(['sleep', '1000']);
  const before = await server.client.containerStatus({ containerId, verbose: true });
  const { pid } = JSON.parse(before.info.info ?? '{}');
  await server.end('SIGTERM');
  await assert.rejects(stat(server.socket), { code: 'ENOENT' });
  process.kill(pid, 0);
  await server.launch();
  const { status, info } = await server.client.containerStatus({ containerId, verbose: true });
  assert.deepEqual([status?.state, JSON.parse(info.info ?? '{}').pid], [1, pid]);
  await server.client.removePodSandbox({ podSandboxId: pod.id });
  await coracle('rmi', NAME);
});

test('open the root directory themselves while none does', async () => {
  await server.end('SIGTERM');
  await lifeOfAnImage();
  await server.launch();
});
