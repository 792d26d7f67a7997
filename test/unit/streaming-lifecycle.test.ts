import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { after, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Keepalive } from '../../src/streaming/keepalive.ts';
import { MuxStream } from '../../src/streaming/mux-stream.ts';
import { serveStreams } from '../../src/streaming/server.ts';
import { CommandStreams } from '../../src/streaming/spdy/command-streams.ts';
import { SpdyConnection } from '../../src/streaming/spdy/connection.ts';
import { ForwardStreams } from '../../src/streaming/spdy/forward-streams.ts';
import { makeCa } from '../helpers/certificates.ts';
import { controlFrame, dataFrame, SpdyClient, words } from '../helpers/spdy-client.ts';
import { HostBackend } from '../helpers/stream-backend.ts';
import {
  ChannelClient,
  descriptors,
  eventually,
  openCommand,
  StreamFixture,
  settled,
} from '../helpers/stream-server.ts';

const directory = mkdtempSync(join(tmpdir(), 'streaming-'));
after(() => rmSync(directory, { recursive: true }));

const log = { debug() {}, info() {}, warn() {} };
const defaults = { address: '127.0.0.1:0', idleTimeoutMs: 0, drainTimeoutMs: 100 };

describe('a streaming server that closes', () => {
  it('tells its clients, ends their commands and takes no more', async () => {
    // Clients that go when they are told are not waited for any longer.
    const fixture = await StreamFixture.start({ drainTimeoutMs: 3_600_000 });
    const spdy = await openCommand(fixture.sh('echo up; sleep 60'), ['stdout', 'stderr']);
    const socket = await ChannelClient.connect(fixture.sh('echo up; sleep 60'), [
      'v5.channel.k8s.io',
    ]);
    const forward = await SpdyClient.connect(
      fixture.server.portForward({ sandboxId: 'pod', ports: [] }),
      'portforward.k8s.io',
    );
    const unused = fixture.sh('true');
    await spdy.stream('stdout').until((text) => text === 'up\n');
    await fixture.server.close();
    assert.match(await spdy.stream('error').text(), /"message":"the server is shutting down"/);
    assert.match(socket.text(3), /"message":"the server is shutting down"/);
    assert.equal(await socket.closed, 1000);
    await forward.closed;
    assert.deepEqual(forward.events, ['goaway 0']);
    assert.equal(fixture.backend.open, 0);
    assert.throws(() => fixture.sh('true'), { kind: 'Unavailable' });
    await assert.rejects(SpdyClient.connect(unused, 'v4.channel.k8s.io'), /ECONNREFUSED/);
  });

  it('breaks off clients that do not go', async () => {
    const fixture = await StreamFixture.start();
    const { client } = await openCommand(fixture.sh('cat /dev/zero'), ['stdout', 'stderr']);
    client.transport.pause();
    const idle = connect(Number(new URL(fixture.server.url).port), '127.0.0.1');
    idle.on('error', () => {});
    await sleep(100);
    const before = descriptors();
    const begin = Date.now();
    await fixture.server.close(200);
    const took = Date.now() - begin;
    assert.ok(took >= 190 && took < 2_000, `${took} ms`);
    assert.equal(fixture.backend.open, 0);
    client.close();
    idle.destroy();
    await eventually(() => descriptors() < before, 'descriptors leak');
  });
});

describe('a streaming connection', () => {
  it('is closed when it is idle, and not while something happens', async () => {
    const fixture = await StreamFixture.start({ idleTimeoutMs: 1_000 });
    const busy = await openCommand(fixture.sh('while sleep 0.1; do echo .; done'), [
      'stdout',
      'stderr',
    ]);
    const idle = await openCommand(fixture.sh('sleep 60'), ['stdout', 'stderr']);
    const socket = await ChannelClient.connect(fixture.sh('sleep 60'), ['v5.channel.k8s.io']);
    const begin = Date.now();
    await Promise.all([idle.client.closed, socket.closed]);
    const took = Date.now() - begin;
    assert.ok(took >= 900 && took < 5_000, `${took} ms`);
    await sleep(1_000);
    assert.equal(fixture.backend.open, 1, 'the busy one is there');
    busy.client.close();
    await fixture.released();
  });

  for (const protocol of ['SPDY', 'WebSocket']) {
    it(`by ${protocol} is let go of when its client vanishes while nothing is read`, async () => {
      const fixture = await StreamFixture.start({ pingMs: 50 });
      const url = fixture.sh('sleep 60', { stdin: true });
      if (protocol === 'SPDY') {
        const { client, stream } = await openCommand(url, ['stdin', 'stdout', 'stderr']);
        await stream('stdin').write(Buffer.alloc(400_000));
        client.close();
      } else {
        const { socket } = await ChannelClient.connect(url, ['v5.channel.k8s.io']);
        socket.send(Buffer.alloc(400_000));
        await eventually(() => socket.bufferedAmount === 0, 'it was not sent');
        socket.terminate();
      }
      await fixture.released();
    });
  }

  it('is pinged more often while it is not read', (context) => {
    const { timers } = context.mock;
    timers.enable({ apis: ['setInterval', 'setTimeout'] });
    let pings = 0;
    const ping = () => {
      pings += 1;
    };
    const keepalive = new Keepalive({ idleMs: 0, ping, onIdle: () => {} });
    timers.tick(30_000);
    assert.equal(pings, 1);
    keepalive.held(true);
    timers.tick(30_000);
    assert.equal(pings, 7);
    keepalive.held(false);
    timers.tick(30_000);
    assert.equal(pings, 8);
    keepalive.stop();
    keepalive.held(true);
    timers.tick(60_000);
    assert.equal(pings, 8);
  });

  it('is pinged', async () => {
    let pings = 0;
    let idle = 0;
    const keepalive = new Keepalive({
      idleMs: 100,
      pingMs: 10,
      ping: () => {
        pings += 1;
      },
      onIdle: () => {
        idle += 1;
      },
    });
    for (let i = 0; i < 5; i++) {
      await sleep(40);
      keepalive.touch();
    }
    assert.equal(idle, 0);
    assert.ok(pings >= 10, `${pings} pings`);
    await sleep(130);
    assert.equal(idle, 1);
    keepalive.stop();
    const count = pings;
    await sleep(40);
    assert.equal(pings, count);
  });
});

describe('streams that do not come', () => {
  const link = {
    send: (_stream: MuxStream, chunk: Buffer, done: () => void) => {
      sent.push(String(chunk));
      done();
    },
    finish: (_stream: MuxStream, done: () => void) => done(),
    release: (stream: MuxStream, early: boolean) => {
      if (early) reset.push(stream.id);
    },
  };
  const sent: string[] = [];
  const reset: number[] = [];
  const choice = { stdin: true, stdout: true, stderr: true, tty: false };

  it('are waited for so long, and then named on the error stream', async () => {
    const streams = new CommandStreams(choice, 4);
    streams.accept(new Map([['streamtype', 'error']]))?.(new MuxStream(1, link));
    streams.accept(new Map([['streamtype', 'stdout']]))?.(new MuxStream(3, link));
    assert.equal(await streams.wait(new Promise(() => {}), 20), undefined);
    assert.match(sent.join(), /not opened in time: stdin, stderr/);
  });

  it('are not waited for when the client is gone', async () => {
    const streams = new CommandStreams(choice, 4);
    assert.equal(await streams.wait(Promise.resolve()), undefined);
  });

  it('leave their counterpart of a port-forward alone for so long', async () => {
    const pairs: number[] = [];
    const streams = new ForwardStreams(({ port }) => pairs.push(port), 20);
    const about = (type: string, id: string) =>
      new Map([
        ['streamtype', type],
        ['port', '80'],
        ['requestid', id],
      ]);
    streams.accept(about('data', '1'), 5)?.(new MuxStream(5, link));
    streams.accept(about('error', '2'), 7)?.(new MuxStream(7, link));
    sent.length = 0;
    await eventually(() => reset.length === 2, 'they are waited for');
    assert.match(sent.join(), /not opened in time/);
    assert.deepEqual(reset, [5, 7]);
    streams.accept(about('error', '1'), 9)?.(new MuxStream(9, link));
    streams.accept(about('data', '1'), 11)?.(new MuxStream(11, link));
    assert.deepEqual(pairs, [80], 'the id is free again');
  });
});

describe('a hostile SPDY client', async () => {
  const fixture = await StreamFixture.start();
  const exec = () => openCommand(fixture.sh('cat', { stdin: true }), ['stdin', 'stdout', 'stderr']);

  for (const [name, bytes] of [
    ['garbage', Buffer.alloc(1_000, 0xff)],
    ['a control frame of 16 MiB', Buffer.from('8003000100ffffff', 'hex')],
    ['a stream with an even id', synStream(2)],
    ['a stream with an old id', synStream(1)],
    ['a stream with the id 0', synStream(0)],
  ] as const) {
    it(`is told to go away for ${name}`, async () => {
      const { client } = await exec();
      await client.send(bytes);
      await client.closed;
      assert.equal(client.events.at(-1), 'goaway 1');
      await fixture.released();
      assert.ok(fixture.log.includes('a client broke the SPDY protocol'));
    });
  }

  it('cannot keep others waiting with blocks that inflate to much', async () => {
    const { client } = await exec();
    let worst = 0;
    // What a turn of the event loop costs, however much of the machine others have.
    let last = process.cpuUsage();
    const clock = setInterval(() => {
      const { user, system } = process.cpuUsage(last);
      worst = Math.max(worst, (user + system) / 1000);
      last = process.cpuUsage();
    }, 1);
    const padding = 'a'.repeat(16_000);
    const opened = Array.from({ length: 2_000 }, () => client.open({ padding }));
    const refused = await Promise.allSettled(opened);
    clearInterval(clock);
    client.close();
    await fixture.released();
    assert.ok(refused.every(({ status }) => status === 'rejected'));
    assert.ok(worst < 100, `the event loop was kept for ${worst} ms`);
  });

  it('may be wrong about single streams', async () => {
    const { client, stream } = await exec();
    await client.send(dataFrame(99, Buffer.from('nobody'), false));
    await client.send(dataFrame(0, Buffer.from('nobody'), false));
    await client.send(controlFrame(3, words(77, 1)));
    await client.send(controlFrame(8, words(77)).fill(0, 8));
    await client.closed;
    assert.equal(client.events.at(-1), 'goaway 1', 'a HEADERS frame without a block');
    assert.equal(stream('stdout').received, '');
    await fixture.released();
  });

  it('has a stream reset on which it talks after its end', async () => {
    const { client, stream } = await exec();
    await stream('error').end();
    await stream('error').write('more');
    assert.equal(await stream('error').ended, 'reset');
    client.close();
    await fixture.released();
  });

  it('gets no more streams than 512', async () => {
    const url = fixture.server.portForward({ sandboxId: 'pod', ports: [] });
    const client = await SpdyClient.connect(url, 'portforward.k8s.io');
    const open = (i: number) =>
      client.open({ streamtype: 'error', port: '1', requestid: String(i) });
    await Promise.all(Array.from({ length: 512 }, (_, i) => open(i)));
    await assert.rejects(open(512), /refused with status 3/);
    const [first] = client.streams.values();
    await first?.reset();
    await open(513);
    client.close();
  });

  it('is not listened to while it does not read the answers to its pings', async () => {
    const { client } = await exec();
    client.transport.pause();
    const flood = Buffer.concat(Array.from({ length: 10_000 }, () => controlFrame(6, words(1))));
    let taken = 0;
    const flooding = (async () => {
      for (; taken < 1_000; taken++) await client.send(flood);
    })();
    flooding.catch(() => {});
    assert.ok((await settled(() => taken)) < 1_000, 'the server takes no more');
    client.close();
    await fixture.released();
  });

  it('keeps no more than a little of many tiny frames', async () => {
    const url = fixture.sh('sleep 60', { stdin: true });
    const { client, stream } = await openCommand(url, ['stdin', 'stdout', 'stderr']);
    const { id } = stream('stdin');
    const flood = Buffer.concat(
      Array.from({ length: 10_000 }, () => dataFrame(id, Buffer.of(1), false)),
    );
    let taken = 0;
    const flooding = (async () => {
      for (; taken < 1_000; taken++) await client.send(flood);
    })();
    flooding.catch(() => {});
    const before = process.memoryUsage().heapUsed;
    assert.ok((await settled(() => taken)) < 1_000, 'the command reads nothing');
    assert.ok(process.memoryUsage().heapUsed - before < 64 * 1024 * 1024);
    client.close();
  });
});

function synStream(id: number): Buffer {
  return controlFrame(
    1,
    Buffer.concat([words(id, 0), Buffer.alloc(2), Buffer.from('c2000000ffff')]),
  );
}

describe('the connection itself', () => {
  it('survives a transport that fails at any moment', async () => {
    for (let step = 0; step < 4; step++) {
      const transport = new PassThrough();
      const connection = new SpdyConnection(transport, { accept: () => undefined, idleMs: 0 });
      if (step === 1) transport.write(controlFrame(6, words(1)));
      if (step === 2) connection.close();
      if (step === 3) transport.write('garbage');
      transport.destroy(new Error('EPIPE'));
      await connection.closed;
      connection.close();
      connection.destroy();
    }
  });
});

describe('TLS', () => {
  it('carries both protocols', async () => {
    const tls = makeCa(directory).issue('server');
    const fixture = await StreamFixture.start({ tls });
    assert.match(fixture.server.url, /^https:\/\/127\.0\.0\.1:\d+$/);
    const { stream } = await openCommand(fixture.sh('echo secret'), ['stdout', 'stderr']);
    assert.equal(await stream('stdout').text(), 'secret\n');
    const socket = await ChannelClient.connect(fixture.sh('echo secret'), ['v5.channel.k8s.io']);
    await socket.closed;
    assert.equal(socket.text(1), 'secret\n');
    const plain = fixture.sh('true').replace('https', 'http');
    await assert.rejects(SpdyClient.connect(plain, 'v4.channel.k8s.io'));
    await fixture.released();
  });

  it('needs files that are a certificate and its key', async () => {
    const wrong = join(directory, 'wrong.pem');
    writeFileSync(wrong, 'not a certificate');
    for (const cert of [wrong, join(directory, 'absent.pem')]) {
      const tls = { cert, key: wrong };
      await assert.rejects(serveStreams({ ...defaults, tls }, new HostBackend(), log), {
        kind: 'InvalidArgument',
        message: /cannot be used/,
      });
    }
  });
});

describe('the address of a streaming server', () => {
  it('is in use, or is none', async () => {
    const fixture = await StreamFixture.start();
    const { host } = new URL(fixture.server.url);
    await assert.rejects(serveStreams({ ...defaults, address: host }, new HostBackend(), log), {
      kind: 'Unavailable',
      message: /EADDRINUSE/,
    });
    await assert.rejects(serveStreams({ ...defaults, address: 'x' }, new HostBackend(), log), {
      kind: 'InvalidArgument',
    });
  });
});
