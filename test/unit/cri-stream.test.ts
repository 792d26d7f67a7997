/** Server-streaming calls, over a real socket: order, back pressure, errors, cancellation. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import { type CriClient, criClient } from '../../src/cri/client.ts';
import type { StreamImagesResponse } from '../../src/cri/gen/cri.ts';
import { Latest } from '../../src/cri/latest.ts';
import { type CriServer, type Handlers, serveCri } from '../../src/cri/server.ts';
import { abortError, CoracleError } from '../../src/errors.ts';

interface Line {
  level: string;
  fields: Record<string, unknown>;
}

const image = (id: string): StreamImagesResponse => ({
  images: [
    {
      id,
      repoTags: [],
      repoDigests: [],
      size: 0n,
      uid: undefined,
      username: '',
      spec: undefined,
      pinned: false,
    },
  ],
});

const idsOf = ({ images }: StreamImagesResponse) => images.map(({ id }) => id);

describe('a streaming call', () => {
  let directory: string;
  let ready: boolean;
  let lines: Line[];
  const open: (() => unknown)[] = [];

  async function serve(handlers: Handlers<object>): Promise<[CriServer, CriClient]> {
    const at = (level: string) => (fields: object) => lines.push({ level, fields: { ...fields } });
    const log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
    const socket = join(directory, 'c.sock');
    const backend = { log, context: () => (ready ? {} : undefined) };
    const server = await serveCri(socket, backend, handlers);
    const client = criClient(socket);
    open.push(
      () => client.close(),
      () => server.close(0),
    );
    return [server, client];
  }

  const calls = () => lines.filter(({ fields }) => fields.method === 'StreamImages');

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'cri-stream-'));
    ready = true;
    lines = [];
  });
  afterEach(async () => {
    for (const close of open.splice(0)) await close();
    await rm(directory, { recursive: true });
  });

  it('gives every response in order, then ends', async () => {
    const [, client] = await serve({
      streamImages: async function* (_ctx, request) {
        for (const id of ['a', 'b', 'c']) yield image(`${request.filter?.image?.image}-${id}`);
      },
    });
    const ids: string[][] = [];
    for await (const answer of client.streamImages({ filter: { image: { image: 'x' } } })) {
      ids.push(idsOf(answer));
    }
    assert.deepEqual(ids, [['x-a'], ['x-b'], ['x-c']]);
    const [{ level, fields } = { level: '', fields: {} }] = calls();
    assert.deepEqual([level, fields.messages, typeof fields.ms], ['debug', 3, 'number']);
  });

  it('gives what was sent before an error, then the error, mapped and logged', async () => {
    const [, client] = await serve({
      streamImages: async function* () {
        yield image('a');
        throw new CoracleError('NotFound', 'image "b" not found');
      },
    });
    const ids: string[][] = [];
    await assert.rejects(
      async () => {
        for await (const answer of client.streamImages()) ids.push(idsOf(answer));
      },
      { code: status.NOT_FOUND, details: 'image "b" not found' },
    );
    assert.deepEqual(ids, [['a']]);
    const [{ level, fields } = { level: '', fields: {} }] = calls();
    assert.deepEqual([level, fields.code, fields.messages], ['info', status.NOT_FOUND, 1]);
  });

  it('maps an error that is thrown before there is anything to iterate', async () => {
    const [, client] = await serve({
      streamImages: () => {
        throw new TypeError('undefined is not a function');
      },
    });
    await assert.rejects(first(client.streamImages()), { code: status.INTERNAL });
    assert.equal(calls()[0]?.level, 'error');
  });

  it('is Unavailable until the runtime has recovered (EX-17)', async () => {
    ready = false;
    let entered = 0;
    const [, client] = await serve({
      streamImages: async function* () {
        entered += 1;
        yield image('a');
      },
    });
    await assert.rejects(first(client.streamImages()), { code: status.UNAVAILABLE });
    assert.equal(entered, 0);
    ready = true;
    assert.deepEqual(idsOf((await first(client.streamImages())) ?? image('none')), ['a']);
  });

  it('is Unimplemented by name where there is no handler', async () => {
    const [, client] = await serve({});
    await assert.rejects(first(client.streamImages()), {
      code: status.UNIMPLEMENTED,
      details: 'StreamImages is not implemented',
    });
  });

  it("fires the handler's signal when the client stops reading", async () => {
    const seen = waitingHandler();
    const [, client] = await serve({ streamImages: seen.handler });
    await first(client.streamImages());
    assert.equal((await seen.reason).kind, 'Cancelled');
  });

  it("fires the handler's signal when the client aborts its own", async () => {
    const seen = waitingHandler();
    const [, client] = await serve({ streamImages: seen.handler });
    const abort = new AbortController();
    await assert.rejects(
      async () => {
        for await (const _ of client.streamImages({}, { signal: abort.signal })) abort.abort();
      },
      { code: status.CANCELLED },
    );
    assert.equal((await seen.reason).kind, 'Cancelled');
  });

  it("fires the handler's signal with DeadlineExceeded when the deadline passes", async () => {
    const seen = waitingHandler();
    const [, client] = await serve({ streamImages: seen.handler });
    await assert.rejects(
      async () => {
        for await (const _ of client.streamImages({}, { deadlineMs: 150 }));
      },
      { code: status.DEADLINE_EXCEEDED },
    );
    assert.equal((await seen.reason).kind, 'DeadlineExceeded');
  });

  it('waits for a client that does not read, and stops waiting when it goes', async () => {
    let produced = 0;
    let over!: () => void;
    const ended = new Promise<void>((resolve) => {
      over = resolve;
    });
    const [, client] = await serve({
      streamImages: async function* () {
        try {
          for (; produced < 100_000; produced += 1) yield image('x'.repeat(64 * 1024));
        } finally {
          over();
        }
      },
    });
    const iterator = client.streamImages()[Symbol.asyncIterator]();
    await iterator.next();
    let before = -1;
    while (produced !== before) {
      before = produced;
      await sleep(200);
    }
    assert.ok(produced < 1000, `${produced} responses of 64 KiB are waiting for the client`);
    await iterator.return?.();
    await ended;
    assert.ok(produced < 1000);
  });

  it('is broken off when the time to drain is over', async () => {
    const seen = waitingHandler();
    const [server, client] = await serve({ streamImages: seen.handler });
    const iterator = client.streamImages()[Symbol.asyncIterator]();
    await iterator.next();
    await Promise.all([server.close(50), assert.rejects(iterator.next())]);
    assert.equal((await seen.reason).kind, 'Cancelled');
  });
});

describe('what only its newest counts of', () => {
  it('skips what the reader was too late for, but not the last', async () => {
    const latest = new Latest<number>();
    latest.put(1);
    latest.put(2);
    const reader = latest[Symbol.asyncIterator]();
    assert.equal((await reader.next()).value, 2);
    const waiting = reader.next();
    latest.put(3);
    assert.equal((await waiting).value, 3);
    latest.put(4);
    latest.put(5);
    latest.end();
    assert.equal((await reader.next()).value, 5);
    assert.equal((await reader.next()).done, true);
  });

  it('ends a reader that waits', async () => {
    const latest = new Latest<number>();
    const waiting = latest[Symbol.asyncIterator]().next();
    latest.end();
    assert.equal((await waiting).done, true);
  });
});

async function first<T>(stream: AsyncIterable<T>): Promise<T | undefined> {
  for await (const message of stream) return message;
  return undefined;
}

/** A handler that sends one response, then waits for its signal, and what it was told. */
function waitingHandler() {
  let tell!: (reason: CoracleError) => void;
  const reason = new Promise<CoracleError>((resolve) => {
    tell = resolve;
  });
  const handler = async function* (_ctx: object, _request: unknown, signal: AbortSignal) {
    yield image('a');
    if (!signal.aborted) await once(signal, 'abort');
    tell(abortError(signal));
    throw abortError(signal);
  };
  return { reason, handler };
}
