/** GetContainerEvents over a real connection. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { status as Code } from '@grpc/grpc-js';
import { type CriClient, criClient } from '../../src/cri/client.ts';
import {
  type ContainerEventResponse,
  ContainerEventType,
  ContainerState,
  PodSandboxState,
} from '../../src/cri/gen/cri.ts';
import { handlers } from '../../src/cri/handlers.ts';
import { type CriServer, serveCri } from '../../src/cri/server.ts';
import { removeContainer } from '../../src/runtime/remove.ts';
import { startContainer } from '../../src/runtime/start.ts';
import { DirectRuntime } from '../helpers/direct-runtime.ts';
import { exited, runPod } from '../helpers/pod.ts';
import { TestServer } from '../helpers/server.ts';

const {
  CONTAINER_CREATED_EVENT: CREATED,
  CONTAINER_STARTED_EVENT: STARTED,
  CONTAINER_STOPPED_EVENT: STOPPED,
  CONTAINER_DELETED_EVENT: DELETED,
} = ContainerEventType;

let server: TestServer;
let image: string;

before(async () => {
  server = await TestServer.start();
  image = await server.importBusybox();
});
after(() => server.close());

/** What one subscriber gets, in the background. */
class Subscriber {
  readonly events: ContainerEventResponse[] = [];
  readonly ended: Promise<{ code?: number; details?: string }>;
  readonly #stop = new AbortController();

  constructor(client: CriClient) {
    this.ended = this.#read(client);
  }

  /** The types of the events of one id, as soon as there are `count`. */
  async of(id: string, count: number): Promise<ContainerEventResponse[]> {
    const end = Date.now() + 10_000;
    for (;;) {
      const found = this.events.filter(({ containerId }) => containerId === id);
      if (found.length >= count || Date.now() > end) return found;
      await sleep(5);
    }
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.ended;
  }

  async #read(client: CriClient) {
    try {
      for await (const event of client.getContainerEvents({}, { signal: this.#stop.signal })) {
        this.events.push(event);
      }
      return {};
    } catch (error) {
      return error as { code: number; details: string };
    }
  }
}

const types = (events: ContainerEventResponse[]) =>
  events.map(({ containerEventType }) => containerEventType);

test('a pod and its container are told of from the first to the last moment', async () => {
  const first = new Subscriber(server.client);
  const second = new Subscriber(server.client);
  const pod = await runPod(server, image);
  await Promise.all([first.of(pod.id, 2), second.of(pod.id, 2)]);
  const id = await pod.run(['true']);
  await exited(server, id);
  await server.client.removeContainer({ containerId: id });
  await server.client.removePodSandbox({ podSandboxId: pod.id });
  for (const subscriber of [first, second]) {
    const ofPod = await subscriber.of(pod.id, 4);
    assert.deepEqual(types(ofPod), [CREATED, STARTED, STOPPED, DELETED]);
    const states = ofPod.map(({ podSandboxStatus }) => podSandboxStatus?.state);
    const { SANDBOX_READY, SANDBOX_NOTREADY } = PodSandboxState;
    assert.deepEqual(states, [SANDBOX_READY, SANDBOX_READY, SANDBOX_NOTREADY, SANDBOX_NOTREADY]);
    assert.equal(ofPod[3]?.podSandboxStatus?.metadata?.uid, pod.config.metadata.uid);

    const events = await subscriber.of(id, 4);
    assert.deepEqual(types(events), [CREATED, STARTED, STOPPED, DELETED]);
    const seen = events.map(({ containersStatuses }) =>
      containersStatuses.map((each) => [each.id, each.state]),
    );
    const { CONTAINER_CREATED, CONTAINER_RUNNING, CONTAINER_EXITED } = ContainerState;
    assert.deepEqual(seen, [
      [[id, CONTAINER_CREATED]],
      [[id, CONTAINER_RUNNING]],
      [[id, CONTAINER_EXITED]],
      [],
    ]);
    for (const [index, event] of events.entries()) {
      assert.equal(event.podSandboxStatus?.id, pod.id);
      assert.ok(event.createdAt > (events[index - 1]?.createdAt ?? 0n));
    }
    assert.equal(events[2]?.containersStatuses[0]?.reason, 'Completed');
    await subscriber.stop();
  }
});

test('G-4: a start that fails is told of as a stop', async () => {
  const subscriber = new Subscriber(server.client);
  const pod = await runPod(server, image);
  const containerId = await pod.create(['/no/such']);
  await assert.rejects(server.client.startContainer({ containerId }));
  const events = await subscriber.of(containerId, 2);
  assert.deepEqual(types(events), [CREATED, STOPPED]);
  assert.equal(events[1]?.containersStatuses[0]?.reason, 'StartError');
  await server.client.removePodSandbox({ podSandboxId: pod.id });
  await subscriber.stop();
});

test('what ended while there was no server is told to the first that asks after it', async () => {
  const pod = await runPod(server, image);
  const id = await pod.run(['sh', '-c', 'sleep 0.7; exit 5']);
  const settle = new Subscriber(server.client);
  await settle.of(id, 2);
  await settle.stop();
  await server.end('SIGKILL');
  await sleep(1000);
  await server.launch();
  const subscriber = new Subscriber(server.client);
  const events = await subscriber.of(id, 1);
  assert.deepEqual(types(events), [STOPPED]);
  assert.equal(events[0]?.containersStatuses[0]?.exitCode, 5);
  assert.equal(events[0]?.podSandboxStatus?.state, PodSandboxState.SANDBOX_READY);

  // The server does not wait for its subscribers when it ends.
  const begin = Date.now();
  await server.end('SIGTERM');
  assert.equal((await subscriber.ended).code, Code.UNAVAILABLE);
  assert.ok(Date.now() - begin < 4000, `${Date.now() - begin} ms`);
  await server.launch();
  await server.client.removePodSandbox({ podSandboxId: pod.id });
});

test('G-11, G-12: who does not read holds up nobody, and is told to list again', async () => {
  const runtime = await DirectRuntime.open();
  const pod = await runtime.pod();
  const { ctx } = runtime;
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const socket = join(runtime.dir, 'c.sock');
  let criServer: CriServer | undefined;
  const clients: CriClient[] = [];
  try {
    criServer = await serveCri(`unix://${socket}`, { log, context: () => ctx }, handlers);
    const client = () => {
      const made = criClient(socket);
      clients.push(made);
      return made;
    };
    const slow = client().getContainerEvents()[Symbol.asyncIterator]();
    const ready = slow.next();
    ctx.events.emit('created', 'first', pod);
    await ready;
    const id = await runtime.create(pod, { command: ['true'] });
    const reader = new Subscriber(client());
    ctx.events.emit('created', 'seen', pod);
    while (reader.events.length === 0) {
      await sleep(5);
      ctx.events.emit('created', 'seen', pod);
    }
    // Far more than the buffers of a connection take, at the pace of the one who reads.
    for (let sent = 0; sent < 8000; ) {
      for (let each = 0; each < 100; each += 1) ctx.events.emit('created', 'flood', pod);
      sent += 100;
      await reader.of('flood', sent);
    }
    const begin = performance.now();
    await startContainer(ctx, id);
    await ctx.live.of(id).exited.promise;
    await removeContainer(ctx, id);
    assert.ok(performance.now() - begin < 500, `${performance.now() - begin} ms`);
    assert.equal((await reader.of(id, 3)).length, 3);
    await reader.stop();
    // What had been on its way is still read, then comes the end; afterwards it may start anew.
    const late = async () => {
      while (!(await slow.next()).done);
    };
    await assert.rejects(late(), {
      code: Code.RESOURCE_EXHAUSTED,
      details: /^EventsLost: .*list again$/,
    });
  } finally {
    for (const each of clients) each.close();
    await criServer?.close(0);
    await runtime.close();
  }
});
