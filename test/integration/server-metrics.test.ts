/** What `coracle serve --metrics-address` tells of the server itself. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { runPod } from '../helpers/pod.ts';
import { TestServer } from '../helpers/server.ts';
import { eventually } from '../helpers/stream-server.ts';

let server: TestServer;
let base: string;

before(async () => {
  server = await TestServer.start(['--metrics-address', '127.0.0.1:0']);
  const address = /"address":"([^"]+)","msg":"serving metrics"/.exec(server.output)?.[1];
  assert.ok(address, server.output);
  base = `http://${address}`;
});
after(() => server.close());

/** The samples by name and labels. */
async function scrape(): Promise<Map<string, number>> {
  const response = await fetch(`${base}/metrics`);
  assert.equal(response.status, 200);
  assert.match(response.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
  const lines = (await response.text()).split('\n').filter((line) => /^[^#]/.test(line));
  return new Map(
    lines.map((line) => {
      const blank = line.lastIndexOf(' ');
      return [line.slice(0, blank), Number(line.slice(blank + 1))];
    }),
  );
}

test('calls are counted by method and status, and timed', async () => {
  const before = await scrape();
  await server.client.listContainers({});
  await assert.rejects(server.client.containerStatus({ containerId: 'none' }), { code: 5 });
  const now = await scrape();
  const grown = (key: string) => (now.get(key) ?? 0) - (before.get(key) ?? 0);
  assert.equal(grown('coracle_rpcs_total{method="ListContainers",code="OK"}'), 1);
  assert.equal(grown('coracle_rpcs_total{method="ContainerStatus",code="NOT_FOUND"}'), 1);
  assert.equal(grown('coracle_rpc_duration_seconds_count{method="ListContainers"}'), 1);
  assert.equal(
    now.get('coracle_rpc_duration_seconds_bucket{method="ListContainers",le="+Inf"}'),
    now.get('coracle_rpc_duration_seconds_count{method="ListContainers"}'),
  );
});

test('pods, containers and monitors are there as they are', async () => {
  const image = await server.importBusybox();
  const pod = await runPod(server, image);
  await pod.run(['sleep', '1000']);
  await pod.create(['sleep', '1000']);
  const values = await scrape();
  assert.equal(values.get('coracle_ready'), 1);
  assert.equal(values.get('coracle_pods{state="ready"}'), 1);
  assert.equal(values.get('coracle_containers{state="running"}'), 1);
  assert.equal(values.get('coracle_containers{state="created"}'), 1);
  assert.equal(values.get('coracle_containers{state="exited"}'), 0);
  assert.equal(values.get('coracle_monitors'), 1);
  assert.equal(values.get('coracle_unwritten_records'), 0);
  const journal = [...values].find(([key]) => key.includes('journal.0'))?.[1] ?? 0;
  assert.ok(journal > 0, 'the journal has a size');
  await server.client.removePodSandbox({ podSandboxId: pod.id });
  assert.equal((await scrape()).get('coracle_monitors'), 0);
});

test('launches are timed by their phases, each by itself and all together', async () => {
  const pod = await runPod(server, await server.importBusybox());
  const containerPhases = ['plan', 'message', 'clone', 'mounts', 'process', 'exec', 'commit'];
  const execPhases = ['plan', 'message', 'clone', 'process'];
  const key = (kind: string, phase: string) =>
    `coracle_launch_phase_seconds_count{kind="${kind}",phase="${phase}"}`;
  const before = await scrape();
  const containerId = await pod.run(['sleep', '1000']);
  await assert.rejects(pod.run(['/no/such/program']));
  await server.client.execSync({ containerId, cmd: ['true'], timeout: 10n });
  const now = await scrape();
  const grown = (kind: string, phase: string) =>
    (now.get(key(kind, phase)) ?? 0) - (before.get(key(kind, phase)) ?? 0);
  for (const phase of containerPhases) assert.equal(grown('container', phase), 1, phase);
  for (const phase of execPhases) assert.equal(grown('exec', phase), 1, phase);
  assert.equal(now.get(key('exec', 'mounts')), 0);
  assert.equal(grown('exec', 'exec'), 0, 'of what runs to its end, nobody looks when it began');

  const { info } = await server.client.containerStatus({ containerId, verbose: true });
  const { launchSeconds } = JSON.parse(info.info ?? '{}') as {
    launchSeconds: Record<string, number>;
  };
  for (const phase of containerPhases) {
    assert.ok((launchSeconds[phase] ?? -1) >= 0, `${phase}: ${launchSeconds[phase]}`);
  }
  await server.client.removePodSandbox({ podSandboxId: pod.id });
});

test('there is nothing but metrics, and only to be read', async () => {
  assert.equal((await fetch(`${base}/`)).status, 404);
  assert.equal((await fetch(`${base}/metrics`, { method: 'POST' })).status, 405);
});

test('a server on an address that is taken does not come up, and says why', async () => {
  const taken = base.replace('http://', '');
  await assert.rejects(TestServer.start(['--metrics-address', taken]), /EADDRINUSE/);
});

test('clients that say nothing, or nonsense, are not waited for and cannot be many', async () => {
  const port = Number(new URL(base).port);
  const idle = Array.from({ length: 100 }, () => connect(port, '127.0.0.1').on('error', () => {}));
  let closed = 0;
  for (const socket of idle) {
    socket.resume().once('close', () => {
      closed += 1;
    });
  }
  await eventually(() => closed >= 36, 'more than 64 are kept');
  for (const socket of idle) socket.destroy();
  // The server hangs up on what it has not read: its answer may get lost in that.
  const garbage = connect(port, '127.0.0.1').on('error', () => {});
  let answer = '';
  garbage.on('data', (chunk: Buffer) => {
    answer += chunk;
  });
  garbage.end(`GET /metrics HTTP/1.1\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`);
  await new Promise((resolve) => garbage.once('close', resolve));
  assert.match(answer, /^$|^HTTP\/1\.1 4\d\d /);
  assert.equal((await fetch(`${base}/metrics`)).status, 200);
});
