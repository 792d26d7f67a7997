import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createWebSocketStream, WebSocket } from 'ws';
import { TUNNEL } from '../../src/streaming/protocols.ts';
import { SpdyClient } from '../helpers/spdy-client.ts';
import { ChannelClient, descriptors, eventually, StreamFixture } from '../helpers/stream-server.ts';

const servers: Server[] = [];
after(() => {
  for (const server of servers) server.close();
});

/** A TCP server, as a pod might have one; its port. */
async function pod(serve: (socket: Socket) => void): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    serve(socket);
  });
  servers.push(server);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return (server.address() as AddressInfo).port;
}

let requests = 0;

async function forward(client: SpdyClient, port: number | string) {
  const about = { port: String(port), requestid: String(requests++) };
  const error = await client.open({ streamtype: 'error', ...about });
  await error.end();
  const data = await client.open({ streamtype: 'data', ...about });
  return { error, data };
}

describe('port-forward over SPDY', async () => {
  const fixture = await StreamFixture.start();
  const connect = (ports: number[] = []) => {
    const url = fixture.server.portForward({ sandboxId: 'pod', ports });
    return SpdyClient.connect(url, 'portforward.k8s.io');
  };
  let echo = 0;
  before(async () => {
    echo = await pod((socket) => socket.pipe(socket));
  });

  it('connects to a port of the pod', async () => {
    const client = await connect();
    assert.equal(client.protocol, 'portforward.k8s.io');
    const { data, error } = await forward(client, echo);
    await data.write('hello');
    await data.until((text) => text === 'hello');
    await data.end();
    assert.deepEqual([await data.ended, await error.text()], ['fin', '']);
    assert.deepEqual(fixture.backend.connected.at(-1), ['pod', echo]);
    client.close();
    await fixture.released();
  });

  it('carries many connections at once, each for itself', async () => {
    const client = await connect();
    const one = async (i: number) => {
      const { data } = await forward(client, echo);
      const bytes = randomBytes(300_000 + i);
      for (let at = 0; at < bytes.length; at += 50_000) {
        await data.write(bytes.subarray(at, at + 50_000));
      }
      await data.end();
      await data.ended;
      assert.ok(Buffer.concat(data.chunks).equals(bytes));
    };
    await Promise.all(Array.from({ length: 40 }, (_, i) => one(i)));
    assert.equal(fixture.backend.open, 0);
    client.close();
  });

  it('lets the client end its side first', async () => {
    const slow = await pod((socket) => {
      let size = 0;
      socket.on('data', (chunk) => {
        size += chunk.length;
      });
      socket.on('end', () => setTimeout(() => socket.end(`got ${size}`), 300));
    });
    const client = await connect();
    const { data } = await forward(client, slow);
    await data.write(Buffer.alloc(200_000));
    await data.end();
    assert.equal(await data.text(), 'got 200000');
    client.close();
  });

  it('lets the pod end its side first', async () => {
    let got = '';
    const port = await pod((socket) => {
      socket.end('banner');
      socket.on('data', (chunk) => {
        got += chunk;
      });
    });
    const client = await connect();
    const { data } = await forward(client, port);
    assert.equal(await data.text(), 'banner');
    await data.write('thanks');
    await data.end();
    await eventually(() => got === 'thanks', 'the rest did not come');
    client.close();
    await fixture.released();
  });

  it('gives the other direction a second of silence, and as long as it talks', async () => {
    const talker = await pod((socket) => {
      let left = 8;
      const timer = setInterval(() => {
        socket.write('.');
        left -= 1;
        if (left === 0) clearInterval(timer);
      }, 250);
      socket.on('close', () => clearInterval(timer));
    });
    const client = await connect();
    const { data } = await forward(client, talker);
    const begin = Date.now();
    await data.end();
    await data.ended;
    const took = Date.now() - begin;
    assert.equal(data.received, '........', 'two seconds of talk arrive');
    assert.ok(took >= 2_900 && took < 4_500, `${took} ms`);
    await fixture.released();
    client.close();
  });

  it('tells why there is no connection', async () => {
    const port = await pod(() => {});
    const closed = servers.pop();
    await new Promise((resolve) => closed?.close(resolve));
    const client = await connect();
    const { data, error } = await forward(client, port);
    assert.match(await error.text(), new RegExp(`^forwarding port ${port}: .*ECONNREFUSED`));
    assert.equal(await data.ended, 'reset');
    const other = await forward(client, echo);
    await other.data.write('still here');
    await other.data.until((text) => text === 'still here');
    client.close();
    await fixture.released();
  });

  it('resets the data of a connection that breaks, and keeps the others', async () => {
    const port = await pod((socket) => socket.once('data', () => socket.resetAndDestroy()));
    const client = await connect();
    const broken = await forward(client, port);
    await broken.data.write('x');
    assert.equal(await broken.data.ended, 'reset');
    assert.equal(await broken.error.text(), '');
    const { data } = await forward(client, echo);
    await data.write('fine');
    await data.until((text) => text === 'fine');
    client.close();
    await fixture.released();
  });

  it('gives a client that is behind all that came before its connection broke', async () => {
    const flood = await pod((socket) => socket.write(Buffer.alloc(30_000_000)));
    const answer = randomBytes(40_000);
    const port = await pod((socket) => {
      socket.once('data', () => {
        socket.write(answer.subarray(0, 20_000));
        setTimeout(() => socket.write(answer.subarray(20_000)), 100);
        setTimeout(() => socket.resetAndDestroy(), 200);
      });
    });
    const client = await connect();
    await forward(client, flood);
    const { data } = await forward(client, port);
    client.transport.pause();
    await sleep(300);
    await data.write('question');
    await sleep(400);
    client.transport.resume();
    assert.equal(await data.ended, 'reset');
    assert.ok(Buffer.concat(data.chunks).equals(answer));
    client.close();
    await fixture.released();
  });

  it('closes the connection when the client resets it', async () => {
    const client = await connect();
    const { data } = await forward(client, echo);
    await data.write('x');
    await data.until((text) => text === 'x');
    assert.equal(fixture.backend.open, 1);
    await data.reset();
    await fixture.released();
    client.close();
  });

  it('closes all connections when the client vanishes', async () => {
    const client = await connect();
    for (let i = 0; i < 5; i++) {
      const { data } = await forward(client, echo);
      await data.write('x');
      await data.until((text) => text === 'x');
    }
    assert.equal(fixture.backend.open, 5);
    client.close();
    await fixture.released();
  });

  it('refuses ports that are none, and ports that were not asked for', async () => {
    const client = await connect();
    for (const port of ['0', '65536', 'http', '-1', '']) {
      const { data, error } = await forward(client, port);
      assert.match(await error.text(), /is not a port/);
      assert.notEqual(await data.ended, 'fin');
    }
    client.close();
    const bound = await connect([echo]);
    const { error } = await forward(bound, echo === 80 ? 81 : 80);
    assert.match(await error.text(), /not one that was asked for/);
    const { data } = await forward(bound, echo);
    await data.end();
    assert.equal(await data.ended, 'fin');
    bound.close();
  });

  it('refuses streams that belong to nothing', async () => {
    const client = await connect();
    const about = { port: '80', requestid: 'same' };
    await client.open({ streamtype: 'error', ...about });
    await assert.rejects(client.open({ streamtype: 'error', ...about }), /refused/);
    await assert.rejects(client.open({ streamtype: 'data', port: '81', requestid: 'same' }));
    await assert.rejects(client.open({ streamtype: 'stdin', ...about }), /refused/);
    await assert.rejects(client.open({ streamtype: 'data', requestid: 'x' }), /refused/);
    client.close();
  });

  it('knows the pairs of clients that give no request id', async () => {
    const client = await connect();
    await client.open({ streamtype: 'error', port: String(echo) });
    const data = await client.open({ streamtype: 'data', port: String(echo) });
    await data.write('old');
    await data.until((text) => text === 'old');
    client.close();
    await fixture.released();
  });
});

describe('port-forward over WebSocket', async () => {
  const fixture = await StreamFixture.start();
  let echo = 0;
  before(async () => {
    echo = await pod((socket) => socket.pipe(socket));
  });

  async function tunnel(): Promise<{ client: SpdyClient; socket: WebSocket }> {
    const url = fixture.server.portForward({ sandboxId: 'pod', ports: [] });
    const plain = url.replace(/^http/, 'ws');
    // ws knows no subprotocols with a slash, so the header is made here.
    const headers = { 'Sec-WebSocket-Protocol': TUNNEL };
    const socket = new WebSocket(plain, { headers });
    const answer = new Promise<string | undefined>((resolve) => {
      socket.once('upgrade', (response) => {
        resolve(response.headers['sec-websocket-protocol']);
        // It would take an answer to what it has not asked as an error.
        delete response.headers['sec-websocket-protocol'];
      });
    });
    await once(socket, 'open');
    assert.equal(await answer, TUNNEL);
    return { client: new SpdyClient(createWebSocketStream(socket)), socket };
  }

  it('carries SPDY in a tunnel', async () => {
    const { client, socket } = await tunnel();
    const one = async () => {
      const { data } = await forward(client, echo);
      const bytes = randomBytes(500_000);
      for (let at = 0; at < bytes.length; at += 50_000) {
        await data.write(bytes.subarray(at, at + 50_000));
      }
      await data.end();
      await data.ended;
      assert.ok(Buffer.concat(data.chunks).equals(bytes));
    };
    await Promise.all([one(), one(), one(), one()]);
    const pong = once(socket, 'pong');
    socket.ping('x');
    assert.equal(String((await pong)[0]), 'x');
    socket.close(1000);
    await fixture.released();
  });

  it('closes what a tunnel carried when its client vanishes', async () => {
    const { client, socket } = await tunnel();
    const { data } = await forward(client, echo);
    await data.write('x');
    await data.until((text) => text === 'x');
    const before = descriptors();
    socket.terminate();
    await fixture.released();
    await eventually(() => descriptors() < before, 'the connection stays open');
  });

  for (const protocol of ['v4.channel.k8s.io', 'v4.base64.channel.k8s.io', '']) {
    it(`has two channels for each port: ${protocol || 'no protocol named'}`, async () => {
      const url = fixture.server.portForward({ sandboxId: 'pod', ports: [] });
      const shout = await pod((socket) =>
        socket.on('data', (chunk) => socket.end(String(chunk).toUpperCase())),
      );
      const query = `${url}?port=${echo}&port=${shout}`;
      const client = await ChannelClient.connect(query, protocol ? [protocol] : []);
      client.send(0, 'echo');
      client.send(2, 'shout');
      const preface = (port: number) => [port & 0xff, port >> 8];
      const bytes = (channel: number) => [...Buffer.concat(client.channels.get(channel) ?? [])];
      const text = (words: string) => [...Buffer.from(words)];
      await eventually(() => bytes(0).length === 6 && bytes(2).length === 7, 'no answers');
      assert.deepEqual(bytes(0), [...preface(echo), ...text('echo')]);
      assert.deepEqual(bytes(1), preface(echo));
      assert.deepEqual(bytes(2), [...preface(shout), ...text('SHOUT')]);
      assert.deepEqual(bytes(3), preface(shout));
      client.socket.terminate();
      await fixture.released();
    });
  }

  it('takes the ports of the request, and tells errors by channel', async () => {
    const url = fixture.server.portForward({ sandboxId: 'pod', ports: [1] });
    const client = await ChannelClient.connect(`${url}?port=${echo}`, ['v4.channel.k8s.io']);
    assert.equal(await client.closed, 1000, 'there is nothing else to forward');
    assert.match(client.text(1).slice(2), /^forwarding port 1: .*ECONNREFUSED/);
    await sleep(0);
    assert.equal(fixture.backend.open, 0);
  });

  it('wants at least one port, and none that is none', async () => {
    const url = fixture.server.portForward({ sandboxId: 'pod', ports: [] });
    const many = Array.from({ length: 101 }, (_, i) => i + 1).join(',');
    for (const query of ['', '?port=', '?port=0', '?port=x', '?port=80,,90', `?port=${many}`]) {
      await assert.rejects(ChannelClient.connect(url + query, ['v4.channel.k8s.io']), /400/, query);
    }
  });
});
