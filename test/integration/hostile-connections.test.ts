/**
 * Clients that do not speak gRPC, or speak it to do harm: nobody else is held up by them, and nothing
 * of them stays.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import { connect as dial, type Socket } from 'node:net';
import { after, afterEach, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { fdCount } from '../helpers/leaks.ts';
import { TestServer } from '../helpers/server.ts';

const VERSION = '/runtime.v1.RuntimeService/Version';
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

let server: TestServer;
let descriptors = 0;
/**
 * How many more may be open for now: Node.js closes the sockets of sessions that broke their
 * protocol only when it collects its garbage.
 */
const FREED_LATE = 100;

before(async () => {
  server = await TestServer.start();
  await server.client.version({});
  descriptors = fdCount(server.pid);
});
after(() => server?.close());

afterEach(async () => {
  const { runtimeName } = await server.client.version({}, { deadlineMs: 10_000 });
  assert.equal(runtimeName, 'coracle');
  const settled = () => fdCount(server.pid) <= descriptors + FREED_LATE;
  await eventually(settled, 'descriptors of clients are left');
  assert.doesNotMatch(server.output, /"level":"(error|fatal)"|\n\s+at /);
});

async function eventually(test: () => boolean, message: string): Promise<void> {
  const end = Date.now() + 20_000;
  while (!test()) {
    if (Date.now() > end) throw new Error(message);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function socket(): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const made = dial(server.socket, () => resolve(made));
    made.once('error', reject);
  });
}

/** Resolves once the server has hung up, or answered; what it said. */
async function answerTo(bytes: Uint8Array | string): Promise<Buffer> {
  const client = await socket();
  client.on('error', () => {});
  const chunks: Buffer[] = [];
  client.on('data', (chunk: Buffer) => chunks.push(chunk));
  const over = new Promise((resolve) => client.once('close', resolve));
  client.end(bytes);
  const late = setTimeout(() => client.destroy(new Error('late')), 10_000);
  await over;
  clearTimeout(late);
  return Buffer.concat(chunks);
}

test('bytes that are no HTTP/2 are hung up on', async () => {
  const frames = [
    // A frame of 16 MiB; a stream that is none; settings on a stream; a window that overflows.
    Uint8Array.of(0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1),
    Uint8Array.of(0, 0, 1, 0, 0, 0, 0, 0, 9, 1),
    Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0, 5),
    Uint8Array.of(0, 0, 4, 8, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff),
    Uint8Array.of(0, 0, 5, 1, 4, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff),
  ];
  const all = [
    '',
    '\0',
    'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
    'POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n',
    PREFACE.slice(0, 10),
    PREFACE,
    `${PREFACE}${PREFACE}`,
    ...frames.map((frame) => Buffer.concat([Buffer.from(PREFACE), frame])),
    ...Array.from({ length: 30 }, () => randomBytes(300)),
    ...Array.from({ length: 30 }, () => Buffer.concat([Buffer.from(PREFACE), randomBytes(300)])),
  ];
  await Promise.all(all.map(answerTo));
});

interface Told {
  http: number;
  /** gRPC's status; NaN where there is none, -1 for a stream that was reset. */
  code: number;
  message: string;
}

/** One request with these headers and this body, as they are. */
function request(
  session: ClientHttp2Session,
  headers: Record<string, string>,
  body: Uint8Array | undefined,
): Promise<Told> {
  const stream = session.request({
    ':method': 'POST',
    ':path': VERSION,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  });
  return new Promise((resolve) => {
    const told: Told = { http: 0, code: -1, message: '' };
    const take = (given: Record<string, unknown>) => {
      if (given[':status']) told.http = Number(given[':status']);
      if (given['grpc-status'] !== undefined) told.code = Number(given['grpc-status']);
      if (given['grpc-message']) told.message = decodeURI(String(given['grpc-message']));
    };
    stream.on('response', take);
    stream.on('trailers', take);
    stream.on('error', () => {});
    stream.on('data', () => {});
    stream.setTimeout(15_000, () => stream.close(constants.NGHTTP2_CANCEL));
    stream.once('close', () => resolve(told));
    if (body) stream.end(body);
    else stream.end();
  });
}

async function withSession<T>(work: (session: ClientHttp2Session) => Promise<T>): Promise<T> {
  const session = connect('http://localhost', { createConnection: () => dial(server.socket) });
  session.on('error', () => {});
  try {
    return await work(session);
  } finally {
    session.destroy();
  }
}

function frame(message: Uint8Array, { flag = 0, length = message.length } = {}): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(flag, 0);
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, message]);
}

test('what is HTTP/2 and no gRPC is refused by its status', async () => {
  const none = new Uint8Array();
  const bomb = gzipSync(Buffer.alloc(64 << 20));
  const cases: [string, Record<string, string>, Uint8Array | undefined, Partial<Told>][] = [
    ['a good one', {}, frame(none), { http: 200, code: 0 }],
    ['an unknown method', { ':path': '/runtime.v1.RuntimeService/No' }, frame(none), { code: 12 }],
    ['an unknown service', { ':path': '/x' }, frame(none), { code: 12 }],
    ['a path of anything', { ':path': '/%00/../..' }, frame(none), { code: 12 }],
    ['another content', { 'content-type': 'text/html' }, frame(none), { http: 415 }],
    ['a message too long', {}, frame(none, { length: 0xffff_ffff }), { code: 8 }],
    ['bytes that are no message', {}, frame(Uint8Array.of(0xff, 0xff)), { code: 3 }],
    ['a bomb', { 'grpc-encoding': 'gzip' }, frame(bomb, { flag: 1 }), { code: 8 }],
    ['an unknown encoding', { 'grpc-encoding': 'x' }, frame(none, { flag: 1 }), { code: 12 }],
  ];
  for (const [what, headers, body, expected] of cases) {
    const told = await withSession((session) => request(session, headers, body));
    assert.deepEqual({ ...told, ...expected }, told, `${what}: ${JSON.stringify(told)}`);
  }
});

/** Of these the gRPC library says INTERNAL, as its protocol wants it: the framing is broken. */
test('what breaks the framing of gRPC ends its own call', async () => {
  const none = new Uint8Array();
  const cases: [Record<string, string>, Uint8Array | undefined][] = [
    [{}, undefined],
    [{}, none],
    [{}, Uint8Array.of(0, 0)],
    [{}, frame(none, { length: 1000 })],
    [{}, Buffer.concat([frame(none), frame(none)])],
    [{}, frame(none, { flag: 1 })],
    [{}, frame(none, { flag: 77 })],
    [{ 'grpc-encoding': 'gzip' }, frame(randomBytes(50), { flag: 1 })],
    [{ 'grpc-timeout': 'soon' }, frame(none)],
    [{ 'grpc-timeout': '999999999999H' }, frame(none)],
    [{ 'grpc-timeout': '0n' }, frame(none)],
    [{ 'content-type': 'application/grpc+x;y' }, frame(none)],
    [{ ':method': 'GET' }, undefined],
    [{ ':method': 'CONNECTION' }, frame(none)],
    [{ 'x-bin': '%%%' }, frame(none)],
    [{ 'x-long': 'x'.repeat(60_000) }, frame(none)],
  ];
  for (const [headers, body] of cases) {
    const { code, http } = await withSession((session) => request(session, headers, body));
    assert.ok(
      [-1, 0, 4, 8, 12, 13].includes(code) || http >= 400,
      `${JSON.stringify(headers)} ${body?.length}: ${code} ${http}`,
    );
  }
});

test('calls that are taken back at once, by thousands, leave the others alone', async () => {
  const good = goOn();
  for (let round = 0; round < 5; round += 1) {
    await withSession(async (session) => {
      for (let i = 0; i < 1000 && !session.destroyed; i += 1) {
        const stream = open(session, '/runtime.v1.RuntimeService/GetContainerEvents');
        if (!stream) break;
        stream.write(frame(new Uint8Array()));
        stream.close(constants.NGHTTP2_CANCEL);
        if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
    });
  }
  await good.end();
});

test('a thousand calls that stay open, and end with their connection', async () => {
  const good = goOn();
  await withSession(async (session) => {
    const streams = Array.from({ length: 1000 }, () => {
      const stream = open(session, '/runtime.v1.RuntimeService/GetContainerEvents');
      stream?.end(frame(new Uint8Array()));
      return stream;
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(streams.filter((each) => each?.destroyed).length, 0);
  });
  await good.end();
});

test('clients that send a part and wait, or never read, hold up nobody', async () => {
  const good = goOn();
  const sockets = await Promise.all(Array.from({ length: 100 }, () => socket()));
  for (const [i, each] of sockets.entries()) {
    each.on('error', () => {});
    each.pause();
    each.write(
      i % 2 === 0 ? PREFACE.slice(0, i % PREFACE.length) : `${PREFACE}\0\0\0\x04\0\0\0\0\0`,
    );
  }
  await withSession(async (session) => {
    for (let i = 0; i < 50; i += 1) {
      const stream = open(session, VERSION);
      stream?.pause();
      // The head of a message of 15 MiB, and a little of it.
      stream?.write(frame(new Uint8Array(1000), { length: 15 << 20 }));
    }
    await new Promise((resolve) => setTimeout(resolve, 500));
  });
  for (const each of sockets) each.destroy();
  await good.end();
});

test('requests as large as gRPC allows, of parts without number, cost no more than they should', async () => {
  const before = memory();
  const mounts = Buffer.alloc(15 << 20);
  for (let at = 0; at < mounts.length; at += 2) mounts[at] = 0x3a;
  const config = Buffer.concat([Buffer.from([0x12, ...varint(mounts.length)]), mounts]);
  const path = '/runtime.v1.RuntimeService/CreateContainer';
  await withSession(async (session) => {
    const told = await Promise.all(
      Array.from({ length: 4 }, () => request(session, { ':path': path }, frame(config))),
    );
    for (const { code, message } of told) {
      assert.equal(code, 3, message);
      assert.match(message, /^request: .* more than 1000000 parts$/);
    }
  });
  assert.ok(memory() - before < 600, `${memory() - before} MiB more`);
});

/** Resident, MiB. */
function memory(): number {
  const status = readFileSync(`/proc/${server.pid}/status`, 'utf8');
  return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024;
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}

/** Undefined once the server has hung up. */
function open(session: ClientHttp2Session, path: string): ClientHttp2Stream | undefined {
  if (session.destroyed || session.closed) return undefined;
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  stream.on('error', () => {});
  return stream;
}

/** A client that asks again and again; `end` rejects where it was not answered. */
function goOn(): { end(): Promise<void> } {
  let over = false;
  const running = (async () => {
    while (!over) {
      await server.client.listContainers({}, { deadlineMs: 10_000 });
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })();
  running.catch(() => {});
  return {
    end: () => {
      over = true;
      return running;
    },
  };
}
