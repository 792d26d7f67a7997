/** Hundreds of short streams of a real server: every byte and every exit code comes. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { runPod, type TestPod } from '../helpers/pod.ts';
import { TestServer } from '../helpers/server.ts';
import { ChannelClient, openCommand } from '../helpers/stream-server.ts';

const ROUNDS = 200;
/** A container takes longer than a command in one. */
const CONTAINERS = 60;
const AT_ONCE = 10;

let server: TestServer;
let pod: TestPod;
let containerId: string;

before(async () => {
  server = await TestServer.start();
  pod = await runPod(server, await server.importBusybox());
  containerId = await pod.run(['sleep', '1000']);
});
after(() => server.close());

/** Runs all rounds, some at once; the number of the round tells their outputs apart. */
async function rounds(run: (round: number) => Promise<void>, count = ROUNDS): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) await run(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

async function exec(round: number, tty: boolean): Promise<string> {
  const cmd = [
    'sh',
    '-c',
    `echo ${round}${tty ? '' : `; echo e${round} >&2`}; exit ${round % 256}`,
  ];
  const streams = { stdin: false, stdout: true, stderr: !tty, tty };
  return (await server.client.exec({ containerId, cmd, ...streams })).url;
}

/** What the status says of the exit code of a round. */
function assertStatus(status: string, round: number): void {
  const code = round % 256;
  assert.match(status, code === 0 ? /"Success"/ : new RegExp(`"ExitCode","message":"${code}"`));
}

test('by SPDY, commands that end at once lose nothing', () =>
  rounds(async (round) => {
    const { client, stream } = await openCommand(await exec(round, false), ['stdout', 'stderr']);
    assert.equal(await stream('stdout').text(), `${round}\n`);
    assert.equal(await stream('stderr').text(), `e${round}\n`);
    assertStatus(await stream('error').text(), round);
    await client.closed;
  }));

test('by SPDY on a terminal, commands that end at once lose nothing', () =>
  rounds(async (round) => {
    const { client, stream } = await openCommand(await exec(round, true), ['stdout', 'resize']);
    assert.equal(await stream('stdout').text(), `${round}\r\n`);
    assertStatus(await stream('error').text(), round);
    await client.closed;
  }));

for (const protocol of ['v5.channel.k8s.io', 'v4.base64.channel.k8s.io']) {
  test(`by WebSocket (${protocol}), commands that end at once lose nothing`, () =>
    rounds(async (round) => {
      const client = await ChannelClient.connect(await exec(round, false), [protocol]);
      assert.equal(await client.closed, 1000);
      assert.equal(client.text(1), `${round}\n`);
      assert.equal(client.text(2), `e${round}\n`);
      assertStatus(client.text(3), round);
    }));
}

test('attached containers that end at once after their input lose nothing', () =>
  rounds(async (round) => {
    const id = await pod.run(['sh', '-c', 'cat; echo over >&2'], { stdin: true, stdinOnce: true });
    const streams = { stdin: true, stdout: true, stderr: true, tty: false };
    const { url } = await server.client.attach({ containerId: id, ...streams });
    const { client, stream } = await openCommand(url, ['stdin', 'stdout', 'stderr']);
    await stream('stdin').write(`input ${round}`);
    await stream('stdin').end();
    assert.equal(await stream('stdout').text(), `input ${round}`);
    assert.equal(await stream('stderr').text(), 'over\n');
    assert.match(await stream('error').text(), /"Success"/);
    await client.closed;
    await server.client.removeContainer({ containerId: id });
  }, CONTAINERS));
