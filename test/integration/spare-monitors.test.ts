/** Monitors that are started ahead of their pods: who gets one, and what becomes of the others. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { closeRuntime } from '../../src/runtime/open.ts';
import { podDir } from '../../src/runtime/paths.ts';
import type { Spare } from '../../src/runtime/spare-monitors.ts';
import { DirectRuntime } from '../helpers/direct-runtime.ts';
import { settledLeaks, snapshot } from '../helpers/leaks.ts';
import { TestServer } from '../helpers/server.ts';

const runtime = new DirectRuntime(true);
before(() => runtime.begin());
after(() => runtime.close());

const lives = (pid: number) => existsSync(`/proc/${pid}/ns/net`);
const monitorOf = (id: string) => runtime.ctx.sandboxes.get(id).record.monitorPid ?? 0;
const namespaceOf = (pid: number, kind: string) => readlinkSync(`/proc/${pid}/ns/${kind}`);

async function until<T>(look: () => T | undefined | false, what: string): Promise<T> {
  const end = Date.now() + 15_000;
  for (;;) {
    const found = look();
    if (found) return found;
    assert.ok(Date.now() < end, `not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Makes pods that follow each other, until a monitor waits for the next one. */
async function spare(): Promise<Spare> {
  while (!runtime.ctx.spares.waiting) {
    await runtime.pod();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return runtime.ctx.spares.waiting;
}

const gone = ({ id, monitor }: Spare) =>
  until(
    () => !lives(monitor.connection.pid) && !existsSync(podDir(runtime.ctx.options, id)),
    'the end of a spare',
  );

test('one pod alone has nothing made for a next one', async () => {
  await runtime.pod();
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(runtime.ctx.spares.waiting, undefined);
});

test('the next pod has the monitor that waits, and what it asks for', async () => {
  const { id, monitor } = await spare();
  const { pid } = monitor.connection;
  const pod = await runtime.pod({
    hostname: 'spared',
    sysctls: { 'net.ipv4.ip_unprivileged_port_start': '17' },
  });
  assert.deepEqual([pod, monitorOf(pod)], [id, pid]);
  assert.equal(runtime.ctx.monitors.find(pod), monitor);
  assert.equal((await monitor.connection.hello()).hasSandbox, true);
  const next = await spare();
  assert.notEqual(next.id, id);
  for (const kind of ['net', 'ipc', 'uts', 'mnt']) {
    const all = [pid, next.monitor.connection.pid, process.pid].map((p) => namespaceOf(p, kind));
    assert.equal(new Set(all).size, 3, kind);
  }
});

test('a pod that it does not fit leaves it to the next one', async () => {
  const { id, monitor } = await spare();
  const node = await runtime.pod({ namespaces: { network: 'node' } });
  assert.notEqual(monitorOf(node), monitor.connection.pid);
  assert.equal(namespaceOf(monitorOf(node), 'net'), namespaceOf(process.pid, 'net'));
  const ipc = await runtime.pod({ namespaces: { network: 'none', ipc: 'node' } });
  assert.equal(namespaceOf(monitorOf(ipc), 'ipc'), namespaceOf(process.pid, 'ipc'));
  process.env.CORACLE_MONITOR_FAILPOINTS = 'monitor.received=count';
  try {
    assert.notEqual(await runtime.pod(), id);
  } finally {
    delete process.env.CORACLE_MONITOR_FAILPOINTS;
  }
  assert.equal(await runtime.pod(), id);
});

test('a request that is refused leaves it, too', async () => {
  const { id } = await spare();
  const first = await runtime.pod({ name: 'taken' });
  assert.equal(first, id);
  const next = await spare();
  await assert.rejects(runtime.pod({ name: 'taken', hostname: 'other' }), /is reserved for/);
  assert.equal(runtime.ctx.spares.waiting, next);
});

test('one that dies while it waits is let go of, and the next pod has another', async () => {
  const dead = await spare();
  process.kill(dead.monitor.connection.pid, 'SIGKILL');
  await gone(dead);
  assert.equal(runtime.ctx.spares.waiting, undefined);
  assert.notEqual(await runtime.pod(), dead.id);
});

test('one that dies as it is handed over is replaced', async () => {
  const dead = await spare();
  process.kill(dead.monitor.connection.pid, 'SIGKILL');
  const pod = await runtime.pod();
  assert.equal(pod, dead.id);
  assert.notEqual(monitorOf(pod), dead.monitor.connection.pid);
  assert.ok(lives(monitorOf(pod)));
});

test('a pod that cannot be made ends the one that it took', async () => {
  const taken = await spare();
  const failing = runtime.pod({ sysctls: { 'net.ipv4.ip_unprivileged_port_start': 'x' } });
  await assert.rejects(failing, /ip_unprivileged_port_start/);
  await gone(taken);
});

test('it ends when no pod comes', async () => {
  await gone(await spare());
  assert.equal(runtime.ctx.spares.waiting, undefined);
});

test('it ends with its runtime', async () => {
  const left = await spare();
  await closeRuntime(runtime.ctx);
  await gone(left);
  await runtime.open();
});

test('a program that ends at once leaves nothing for the next one', async () => {
  const left = await spare();
  await runtime.reopen();
  await gone(left);
});

/** The pid of the monitor that was started with this id. */
function monitorNamed(id: string): number | undefined {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const found = pids.find((pid) => commandLine(pid).join(' ').startsWith(`coracle-monitor ${id}`));
  return found === undefined ? undefined : Number(found);
}

function commandLine(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0');
  } catch {
    return [];
  }
}

/** Makes a pod and lets a spare be made for the next one, if it is to be. */
async function makePod(server: TestServer, name: string): Promise<string> {
  const metadata = { name, uid: 'u', namespace: 'test', attempt: 0 };
  const { podSandboxId } = await server.client.runPodSandbox({ config: { metadata } });
  await new Promise((resolve) => setTimeout(resolve, 100));
  return podSandboxId;
}

/** Starts it again: it has these pods, and nothing of another. */
async function assertRecovers(server: TestServer, made: string[]): Promise<void> {
  await server.launch();
  assert.deepEqual(readdirSync(join(server.state, 'pods')).sort(), [...made].sort());
  const { items } = await server.client.listPodSandbox({});
  assert.deepEqual(items.map((pod) => pod.id).sort(), [...made].sort());
}

test('of a killed server it ends by itself, and the next one deletes its directory', async () => {
  const clean = snapshot();
  const server = await TestServer.start();
  try {
    const made: string[] = [];
    const spared = () =>
      readdirSync(join(server.state, 'pods')).find((name) => !made.includes(name));
    do made.push(await makePod(server, `p${made.length}`));
    while (!spared());
    const id = spared() as string;
    const pid = await until(() => monitorNamed(id), 'the start of a spare');
    await server.end('SIGKILL');
    await until(() => !lives(pid), 'the end of a spare whose server was killed');
    assert.ok(existsSync(join(server.state, 'pods', id)));
    await assertRecovers(server, made);
  } finally {
    await server.close();
  }
  assert.deepEqual(await settledLeaks(clean), {});
});

// The first two pods ask their monitors twice each, the spare is asked once: the sixth request is
// what makes it the third pod's.
for (const point of [
  'spare.spawn=kill',
  'spare.prepared=kill',
  'monitor.request=kill@6',
  'monitor.reply=kill@6',
]) {
  test(`a server that dies at ${point} leaves nothing`, async () => {
    const clean = snapshot();
    const server = new TestServer();
    try {
      process.env.CORACLE_FAILPOINTS = point;
      await server.launch().finally(() => delete process.env.CORACLE_FAILPOINTS);
      const made: string[] = [];
      await assert.rejects(
        async () => {
          for (;;) made.push(await makePod(server, `p${made.length}`));
        },
        { code: 14 },
      );
      assert.equal(made.length, 2);
      await server.end('SIGKILL');
      await assertRecovers(server, made);
    } finally {
      await server.close();
    }
    assert.deepEqual(await settledLeaks(clean), {});
  });
}
