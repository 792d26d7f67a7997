import assert from 'node:assert/strict';
import { once } from 'node:events';
import { PassThrough, Writable } from 'node:stream';
import { describe, it, mock } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isExposed, parseAddress, reachableHost } from '../../src/streaming/address.ts';
import {
  type CommandOutcome,
  type CommandVersion,
  commandStatus,
} from '../../src/streaming/command-status.ts';
import { MuxStream, SpareRoom } from '../../src/streaming/mux-stream.ts';
import {
  choose,
  offeredIn,
  SPDY_COMMAND,
  WEBSOCKET_COMMAND,
} from '../../src/streaming/protocols.ts';
import { Pump } from '../../src/streaming/pump.ts';
import { followResizes } from '../../src/streaming/resize.ts';
import { Tokens } from '../../src/streaming/tokens.ts';

describe('streaming tokens', () => {
  it('stand for their request once', () => {
    const tokens = new Tokens<string>();
    const token = tokens.issue('exec');
    assert.match(token, /^[\w-]{22}$/);
    assert.equal(tokens.peek(token), 'exec');
    assert.equal(tokens.peek(token), 'exec', 'looking at it does not use it up');
    tokens.consume(token);
    assert.equal(tokens.peek(token), undefined);
    assert.equal(tokens.peek('AAAAAAAAAAAAAAAAAAAAAA'), undefined);
  });

  it('expire after a minute', () => {
    let now = 0;
    const tokens = new Tokens<string>(() => now);
    const first = tokens.issue('first');
    now = 30_000;
    const second = tokens.issue('second');
    now = 59_999;
    assert.equal(tokens.peek(first), 'first');
    now = 60_000;
    assert.equal(tokens.peek(first), undefined);
    assert.equal(tokens.peek(second), 'second');
    now = 90_000;
    assert.equal(tokens.peek(second), undefined);
  });

  it('are at most 1000 at once', () => {
    let now = 0;
    const tokens = new Tokens<number>(() => now);
    const issued = Array.from({ length: 1000 }, (_, i) => tokens.issue(i));
    assert.equal(new Set(issued).size, 1000);
    assert.throws(() => tokens.issue(1000), { kind: 'ResourceExhausted' });
    tokens.consume(issued[500] ?? '');
    tokens.issue(1000);
    assert.throws(() => tokens.issue(1001), { kind: 'ResourceExhausted' });
    now = 60_000;
    tokens.issue(1002);
  });
});

describe('the status of a command', () => {
  const success: CommandOutcome = { kind: 'exited', exitCode: 0 };
  const failure: CommandOutcome = { kind: 'exited', exitCode: 137 };
  const broken: CommandOutcome = { kind: 'failed', message: 'exec /nope: no such file' };
  const text = 'command terminated with non-zero exit code: exit status 137';
  const cases: [version: CommandVersion, outcome: CommandOutcome, body: string | object][] = [
    [1, success, ''],
    [2, success, ''],
    [3, success, ''],
    [1, failure, text],
    [2, failure, text],
    [3, failure, text],
    [1, broken, 'exec /nope: no such file'],
    [3, broken, 'exec /nope: no such file'],
    ...([4, 5] as const).flatMap((version): [CommandVersion, CommandOutcome, object][] => [
      [version, success, { metadata: {}, status: 'Success' }],
      [
        version,
        failure,
        {
          metadata: {},
          status: 'Failure',
          reason: 'NonZeroExitCode',
          message: text,
          details: { causes: [{ reason: 'ExitCode', message: '137' }] },
        },
      ],
      [
        version,
        broken,
        {
          metadata: {},
          status: 'Failure',
          reason: 'InternalError',
          message: 'exec /nope: no such file',
          details: { causes: [{ message: 'exec /nope: no such file' }] },
          code: 500,
        },
      ],
    ]),
  ];
  for (const [version, outcome, body] of cases) {
    it(`is told by version ${version} for ${JSON.stringify(outcome)}`, () => {
      const told = commandStatus(outcome, version);
      if (typeof body === 'string') assert.equal(told, body);
      else assert.deepEqual(JSON.parse(told), body);
    });
  }
});

describe('terminal sizes', () => {
  async function sizesOf(...chunks: string[]): Promise<[rows: number, cols: number][]> {
    const source = new PassThrough();
    const sizes: [number, number][] = [];
    followResizes(source, async (rows, cols) => {
      sizes.push([rows, cols]);
    });
    for (const chunk of chunks) {
      source.write(chunk);
      await sleep(1);
    }
    return sizes;
  }

  it('are set as they come', async () => {
    const sizes = await sizesOf('{"Width":80,"Height":24}\n', '{"Width":', '100,"Height":30}\n');
    assert.deepEqual(sizes, [
      [24, 80],
      [30, 100],
    ]);
  });

  it('that are none are passed over', async () => {
    const wrong = ['{"Width":0,"Height":24}', '{"Width":80}', '{}', 'null}', '[1]}', '{"Width":'];
    const tooBig = '{"Width":65536,"Height":1}{"Width":1.5,"Height":1}{"Width":"1","Height":1}';
    assert.deepEqual(await sizesOf(...wrong, '}', tooBig, 'x'.repeat(5000)), []);
    const good = '{"Width":1,"Height":2}';
    assert.deepEqual(await sizesOf('x'.repeat(5000), good), [[2, 1]]);
  });

  it('that come in thousands are not all looked at, but the newest is', async () => {
    const size = '{"Width":7,"Height":9}';
    assert.deepEqual(await sizesOf(`{"Width":1,"Height":1}${size}`), [[9, 7]]);
    assert.deepEqual(await sizesOf(`${size}}{"Width":1}`), [[9, 7]], 'not hidden by a wrong one');
    const source = new PassThrough();
    followResizes(source, async () => {});
    const parse = mock.method(JSON, 'parse');
    for (const flood of ['}', '{}', '{', size]) {
      source.emit('data', Buffer.from(flood.repeat(65_536 / flood.length)));
    }
    parse.mock.restore();
    assert.ok(
      parse.mock.callCount() <= 4 * 8,
      `${parse.mock.callCount()} of some 40,000 were read`,
    );
  });

  it('are set one at a time, the newest of those that wait', async () => {
    const source = new PassThrough();
    const sizes: number[] = [];
    followResizes(source, async (rows) => {
      sizes.push(rows);
      await sleep(20);
      throw new Error('the process has ended');
    });
    for (let rows = 1; rows <= 50; rows++) {
      source.write(`{"Width":1,"Height":${rows}}`);
      await sleep(0);
    }
    await sleep(60);
    assert.equal(sizes.at(-1), 50);
    assert.ok(sizes.length < 25, `${sizes.length} calls`);
  });
});

describe('protocols', () => {
  it('are chosen by the order of the client', () => {
    const offered = offeredIn('v5.channel.k8s.io, v4.channel.k8s.io,channel.k8s.io');
    assert.equal(choose(offered, SPDY_COMMAND), 'v4.channel.k8s.io');
    assert.equal(choose(offered, WEBSOCKET_COMMAND), 'v5.channel.k8s.io');
    assert.equal(choose(['channel.k8s.io', 'v4.channel.k8s.io'], SPDY_COMMAND), 'channel.k8s.io');
    assert.equal(choose(offeredIn('v9.channel.k8s.io'), SPDY_COMMAND), undefined);
    assert.deepEqual(offeredIn(undefined), []);
    assert.deepEqual(offeredIn([' a , ,b', 'c']), ['a', 'b', 'c']);
  });
});

describe('addresses', () => {
  it('have a host and a port', () => {
    assert.deepEqual(parseAddress('127.0.0.1:0'), { host: '127.0.0.1', port: 0 });
    assert.deepEqual(parseAddress('[::1]:80'), { host: '::1', port: 80 });
    assert.deepEqual(parseAddress('node-1:10010'), { host: 'node-1', port: 10_010 });
    for (const wrong of ['', ':80', 'host', '::1:80', '[1.2.3.4]:80', 'h:70000', 'h:', 'a b:1']) {
      assert.throws(() => parseAddress(wrong), { kind: 'InvalidArgument' }, wrong);
    }
  });

  it('that listen everywhere are reached on the loopback', () => {
    assert.equal(reachableHost('0.0.0.0'), '127.0.0.1');
    assert.equal(reachableHost('::'), '[::1]');
    assert.equal(reachableHost('fd00::1'), '[fd00::1]');
    assert.equal(reachableHost('node-1'), 'node-1');
  });

  it('are exposed without TLS, but on the loopback', () => {
    const exposed = (address: string) => isExposed({ address });
    assert.deepEqual(['127.0.0.1:0', '127.9.9.9:0', '[::1]:0', 'localhost:0'].map(exposed), [
      false,
      false,
      false,
      false,
    ]);
    assert.deepEqual(['0.0.0.0:0', '[::]:0', 'node:0', '127.evil.example:0'].map(exposed), [
      true,
      true,
      true,
      true,
    ]);
    assert.equal(isExposed({ address: '0.0.0.0:0', tls: {} }), false);
  });
});

describe('a pump', () => {
  it('keeps its sink open, and waits for it', async () => {
    const source = new PassThrough({ highWaterMark: 10 });
    const sink = new PassThrough({ highWaterMark: 10 });
    const pump = new Pump(source, sink);
    source.write('x'.repeat(100));
    await sleep(5);
    assert.equal(source.write('y'), true, 'the first piece is on its way');
    assert.equal(source.write('z'.repeat(20)), false, 'the second is not');
    sink.resume();
    source.end();
    assert.deepEqual(await pump.done, { kind: 'ended' });
    assert.equal(sink.writableEnded, false);
  });

  it('tells which side was lost, and outlives later errors', async () => {
    const [source, sink] = [new PassThrough(), new PassThrough()];
    const lostSource = new Pump(source, sink);
    source.destroy(new Error('EIO'));
    const end = await lostSource.done;
    assert.ok(end.kind === 'sourceLost' && end.error?.message === 'EIO');
    sink.destroy(new Error('late'));
    const other = new PassThrough();
    const closed = new PassThrough();
    const lostSink = new Pump(other, closed);
    closed.destroy();
    assert.equal((await lostSink.done).kind, 'sinkLost');
  });

  it('reads on for nobody where it must not hold the sender up', async () => {
    const source = new PassThrough({ highWaterMark: 10 });
    const sink = new Writable({ write: (_chunk, _encoding, done) => done(new Error('EPIPE')) });
    const pump = new Pump(source, sink, { discard: true });
    for (let i = 0; i < 20; i++) {
      source.write('x'.repeat(100));
      await sleep(0);
    }
    assert.equal((await pump.done).kind, 'sinkLost');
    source.write('y'.repeat(100));
    await sleep(5);
    assert.equal(source.readableLength + source.writableLength, 0);
  });

  it('is given up when its source is silent, and not while its sink is slow', async () => {
    const source = new PassThrough({ highWaterMark: 10 });
    const sink = new PassThrough({ highWaterMark: 10 });
    const pump = new Pump(source, sink);
    source.write('x'.repeat(100));
    const finished = pump.finish(30).then(() => 'given up');
    assert.equal(await Promise.race([finished, sleep(100, 'waits')]), 'waits');
    sink.resume();
    const begin = performance.now();
    await finished;
    assert.ok(performance.now() - begin >= 25);
    assert.equal((await pump.done).kind, 'sourceLost');
  });
});

describe('a stream of a shared connection', () => {
  function stream() {
    const released: boolean[] = [];
    const link = {
      send: (_stream: MuxStream, _chunk: Buffer, done: () => void) => done(),
      finish: (_stream: MuxStream, done: () => void) => done(),
      release: (_stream: MuxStream, early: boolean) => released.push(early),
    };
    return { stream: new MuxStream(1, link), released };
  }

  it('asks to wait while its reader is behind, and counts tiny pieces dearly', async () => {
    const { stream: slow } = stream();
    let given = 0;
    let room: Promise<void> | undefined;
    while (!room) {
      room = slow.deliver(Buffer.from('x'));
      given += 1;
      assert.ok(given <= 5_000, 'pieces of one byte cost more than a byte');
    }
    assert.equal(await Promise.race([room, sleep(20, 'waits')]), 'waits');
    let text = '';
    slow.on('data', (chunk) => {
      text += chunk;
    });
    await room;
    await sleep(0);
    assert.equal(text.length, given);
  });

  it('may hold a MiB while the connection has room to spare, and 64 KiB always', async () => {
    const link = { send() {}, finish() {}, release() {} };
    const spare = new SpareRoom();
    const piece = Buffer.alloc(32 * 1024);
    /** How much a stream takes before it asks to wait, KiB. */
    const fill = () => {
      const stream = new MuxStream(1, link, spare);
      let kibibytes = 32;
      while (!stream.deliver(piece)) kibibytes += 32;
      return { stream, kibibytes };
    };
    const filled = Array.from({ length: 6 }, fill);
    assert.deepEqual(
      filled.map(({ kibibytes }) => kibibytes),
      [1024, 1024, 1024, 1024, 480, 96],
    );
    filled[0]?.stream.destroy();
    filled[1]?.stream.resume();
    await sleep(0);
    assert.equal(fill().kibibytes, 1024, 'what is let go of is there for others');
    assert.equal(fill().kibibytes, 1024);
  });

  it('keeps a tiny piece without what came with it', async () => {
    const { stream: slow } = stream();
    slow.deliver(Buffer.alloc(65_536).subarray(0, 10));
    const [piece] = (await once(slow, 'data')) as [Buffer];
    assert.deepEqual([piece.length, piece.buffer.byteLength], [10, 10]);
    slow.destroy();
  });

  it('ends each direction by itself, and is then released in good order', async () => {
    const { stream: both, released } = stream();
    both.deliver(Buffer.from('last words'));
    both.deliverEnd();
    assert.equal(both.deliver(Buffer.from('more')), undefined);
    let text = '';
    both.on('data', (chunk) => {
      text += chunk;
    });
    await once(both, 'end');
    assert.equal(text, 'last words');
    assert.equal(both.destroyed, false, 'this side may still talk');
    both.end('answer');
    await sleep(5);
    assert.deepEqual([both.destroyed, released], [true, [false]]);
  });

  it('lets go of who waits for room when it is destroyed', async () => {
    const { stream: doomed, released } = stream();
    const room = doomed.deliver(Buffer.alloc(2_000_000));
    assert.ok(room, 'it is full');
    doomed.destroy();
    await room;
    assert.deepEqual(released, [true]);
  });
});
