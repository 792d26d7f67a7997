import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readdir, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { status } from '@grpc/grpc-js';
import { type CriClient, criClient } from '../../src/cri/client.ts';
import { type CriServer, type Handlers, serveCri } from '../../src/cri/server.ts';
import { CoracleError } from '../../src/errors.ts';

interface Line {
  level: string;
  fields: Record<string, unknown>;
}

function fakeBackend() {
  const lines: Line[] = [];
  const at = (level: string) => (fields: object) => lines.push({ level, fields: { ...fields } });
  const log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  const backend = {
    log,
    lines,
    ready: true,
    context: (): object | undefined => (backend.ready ? {} : undefined),
  };
  return backend;
}

describe('the CRI server', () => {
  let directory: string;
  let socket: string;
  let backend: ReturnType<typeof fakeBackend>;
  const open: (() => unknown)[] = [];

  async function serve(handlers: Handlers<object> = {}): Promise<[CriServer, CriClient]> {
    const server = await serveCri(`unix://${socket}`, backend, handlers);
    const client = criClient(socket);
    open.push(
      () => client.close(),
      () => server.close(),
    );
    return [server, client];
  }

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'cri-'));
    socket = join(directory, 'sub', 'c.sock');
    backend = fakeBackend();
  });
  afterEach(async () => {
    for (const close of open.splice(0)) await close();
    await rm(directory, { recursive: true });
  });

  it('listens with mode 0660, whatever the umask, and makes the directory', async () => {
    const before = process.umask(0);
    try {
      await serve();
    } finally {
      process.umask(before);
    }
    const found = await stat(socket);
    assert.ok(found.isSocket());
    assert.equal(found.mode & 0o777, 0o660);
    assert.deepEqual(await readdir(join(directory, 'sub')), ['c.sock']);
  });

  it('replaces a socket that nobody answers on', async () => {
    socket = join(directory, 'c.sock');
    const dead = createServer().listen(join(directory, 'bound'));
    await once(dead, 'listening');
    // Under another name it outlives the server's own clean-up, as after a kill -9.
    await rename(join(directory, 'bound'), socket);
    dead.close();
    const [, client] = await serve({ version: async () => ({ version: 'v' }) });
    assert.equal((await client.version()).version, 'v');
  });

  it('refuses a socket that a server answers on, and leaves it alone', async () => {
    const [, client] = await serve({ version: async () => ({ version: 'first' }) });
    await assert.rejects(serveCri(socket, backend, {}), {
      kind: 'FailedPrecondition',
      message: `another server is listening on ${socket}`,
    });
    assert.equal((await client.version()).version, 'first');
  });

  it('refuses to replace a file, a relative address and one that is too long', async () => {
    const file = join(directory, 'file');
    await writeFile(file, 'precious');
    const link = join(directory, 'link');
    await symlink(file, link);
    const message = /exists and is not a socket/;
    await assert.rejects(serveCri(file, backend, {}), { kind: 'InvalidArgument', message });
    await assert.rejects(serveCri(link, backend, {}), { kind: 'InvalidArgument', message });
    await assert.rejects(serveCri('tcp://0.0.0.0:1', backend, {}), { kind: 'InvalidArgument' });
    const long = join(directory, 'x'.repeat(100));
    await assert.rejects(serveCri(long, backend, {}), { message: /longer than a unix socket/ });
  });

  it('removes its socket when it closes, but not one that has taken its place', async () => {
    const [server] = await serve();
    await server.close();
    await assert.rejects(stat(socket), { code: 'ENOENT' });

    const [old] = await serve();
    await rm(socket);
    const [, client] = await serve({ version: async () => ({ version: 'new' }) });
    await old.close();
    assert.equal((await client.version()).version, 'new');
  });

  it('answers UNIMPLEMENTED naming the method, for every method without a handler', async () => {
    const [, client] = await serve();
    await assert.rejects(client.checkpointPod(), {
      code: status.UNIMPLEMENTED,
      details: 'CheckpointPod is not implemented',
    });
    await assert.rejects(client.removeImage(), {
      code: status.UNIMPLEMENTED,
      details: 'RemoveImage is not implemented',
    });
    await assert.rejects(received(client.streamContainers()), {
      code: status.UNIMPLEMENTED,
      details: 'StreamContainers is not implemented',
    });
  });

  it('answers UNAVAILABLE until the runtime has recovered (EX-17)', async () => {
    backend.ready = false;
    let calls = 0;
    const [, client] = await serve({
      version: async () => {
        calls += 1;
        return {};
      },
    });
    await assert.rejects(client.version(), { code: status.UNAVAILABLE });
    assert.equal(calls, 0);
    backend.ready = true;
    await client.version();
    assert.equal(calls, 1);
  });

  it("fires the handler's signal with Cancelled when the client cancels", async () => {
    const seen = deferredSignal();
    const [, client] = await serve({ startContainer: seen.handler });
    const cancel = new AbortController();
    const call = client.startContainer({ containerId: 'c' }, { signal: cancel.signal });
    await seen.entered;
    cancel.abort();
    await assert.rejects(call, { code: status.CANCELLED });
    assert.equal((await seen.reason).kind, 'Cancelled');
  });

  it("fires the handler's signal with DeadlineExceeded when the deadline passes", async () => {
    const seen = deferredSignal();
    const [, client] = await serve({ startContainer: seen.handler });
    const call = client.startContainer({ containerId: 'c' }, { deadlineMs: 150 });
    await assert.rejects(call, { code: status.DEADLINE_EXCEEDED });
    assert.equal((await seen.reason).kind, 'DeadlineExceeded');
  });

  it('breaks off what is not done when the time to drain is over', async () => {
    const seen = deferredSignal();
    const [server, client] = await serve({ startContainer: seen.handler });
    const call = client.startContainer({ containerId: 'c' });
    await seen.entered;
    await Promise.all([server.close(50), assert.rejects(call)]);
    assert.equal((await seen.reason).kind, 'Cancelled');
  });

  it('takes requests and gives answers beyond the 4 MiB that gRPC allows by itself', async () => {
    const stdout = Buffer.alloc(16 * 1024 * 1024, 'o');
    const [, client] = await serve({
      execSync: async (_ctx, request: { cmd: string[] }) => ({
        stdout,
        stderr: stdout,
        exitCode: request.cmd[0]?.length,
      }),
    });
    const size = 15 * 1024 * 1024;
    const answer = await client.execSync({ cmd: ['x'.repeat(size)] });
    assert.equal(answer.exitCode, size);
    assert.deepEqual(answer.stdout, stdout);
    assert.deepEqual(answer.stderr, stdout);
    await assert.rejects(client.execSync({ cmd: ['x'.repeat(17 * 1024 * 1024)] }), {
      code: status.RESOURCE_EXHAUSTED,
    });
  });

  it('maps errors, logs the refused at info and its own faults at error', async () => {
    const [, client] = await serve({
      containerStatus: async () => {
        throw new CoracleError('NotFound', 'container "x" not found');
      },
      pullImage: async () => {
        throw new TypeError('undefined is not a function');
      },
    });
    await assert.rejects(client.containerStatus({ containerId: 'x' }), {
      code: status.NOT_FOUND,
      details: 'container "x" not found',
    });
    await assert.rejects(
      client.pullImage({ image: { image: 'i' }, auth: { password: 'hush-hush' } }),
      { code: status.INTERNAL, details: 'undefined is not a function' },
    );
    const told = backend.lines.filter((line) => line.fields.method !== undefined);
    assert.deepEqual(
      told.map(({ level, fields }) => [level, fields.method, fields.containerId, fields.code]),
      [
        ['info', 'ContainerStatus', 'x', status.NOT_FOUND],
        ['error', 'PullImage', undefined, status.INTERNAL],
      ],
    );
    assert.ok(told.every((line) => typeof line.fields.ms === 'number'));
    assert.ok(!JSON.stringify(backend.lines).includes('hush-hush'));
  });

  it('lets a call that is under way finish before it closes', async () => {
    let release!: () => void;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    let entered!: () => void;
    const running = new Promise<void>((resolve) => {
      entered = resolve;
    });
    const [server, client] = await serve({
      stopContainer: async () => {
        entered();
        await gate;
        return {};
      },
    });
    const call = client.stopContainer({ containerId: 'c' });
    await running;
    const closed = server.close();
    release();
    await call;
    await closed;
  });
});

async function received<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const message of stream) all.push(message);
  return all;
}

/** A handler that waits for its signal, and what it was told. */
function deferredSignal() {
  let enter!: () => void;
  let tell!: (reason: CoracleError) => void;
  const entered = new Promise<void>((resolve) => {
    enter = resolve;
  });
  const reason = new Promise<CoracleError>((resolve) => {
    tell = resolve;
  });
  const handler = (_ctx: unknown, _request: unknown, signal: AbortSignal) =>
    new Promise<never>((_, reject) => {
      enter();
      signal.addEventListener('abort', () => {
        tell(signal.reason);
        reject(signal.reason);
      });
    });
  return { entered, reason, handler };
}
