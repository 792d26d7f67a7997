/** What comes over a streaming server's port from somebody who is no client of it. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { descriptors, eventually, openCommand, StreamFixture } from '../helpers/stream-server.ts';

const seed = Number(process.env.CORACLE_HOSTILE_SEED ?? Date.now() % 2 ** 31);
const long = process.env.CORACLE_HOSTILE_SECONDS !== undefined;
const options = { seed, numRuns: long ? 3000 : 150, includeErrorInReport: true };

const fixture = await StreamFixture.start();
const address = new URL(fixture.sh('true'));
const crashed: unknown[] = [];
const onCrash = (error: unknown) => void crashed.push(error);

before(() => {
  process.on('uncaughtException', onCrash);
  process.on('unhandledRejection', onCrash);
});
after(() => {
  process.off('uncaughtException', onCrash);
  process.off('unhandledRejection', onCrash);
});

/**
 * Sends all of it, what comes `then` once there is an answer, and hangs up once the server has, or
 * after a moment; what it said.
 */
function tell(pieces: Uint8Array[], then: Uint8Array[] = [], patienceMs = 30): Promise<string> {
  const socket = connect(Number(address.port), address.hostname);
  socket.on('error', () => {});
  let said = '';
  socket.on('data', (chunk) => {
    said += chunk.toString('latin1');
  });
  for (const piece of pieces) socket.write(piece);
  let timer = setTimeout(() => socket.destroy(), then.length > 0 ? 10_000 : patienceMs);
  socket.once('data', () => {
    for (const piece of then) socket.write(piece);
    clearTimeout(timer);
    timer = setTimeout(() => socket.destroy(), patienceMs);
  });
  return new Promise((resolve) =>
    socket.once('close', () => {
      clearTimeout(timer);
      resolve(said);
    }),
  );
}

/** The server is none the worse: a good client is served, nothing is in use and nothing crashed. */
async function assertWell(): Promise<void> {
  await fixture.released();
  const { client, stream } = await openCommand(fixture.sh('echo well'), ['stdout', 'stderr']);
  assert.equal(await stream('stdout').text(), 'well\n');
  await client.closed;
  await fixture.released();
  assert.deepEqual(crashed, []);
}

const token = /\/exec\/(.*)$/;
const word = fc.oneof(
  fc.string({ maxLength: 30 }),
  fc.constantFrom('', '..', '%00', '%', 'x'.repeat(9000), '\u0000', 'a b', '//', '?a=b'),
);
const header = fc.tuple(
  fc.constantFrom(
    'Upgrade',
    'Connection',
    'X-Stream-Protocol-Version',
    'Sec-WebSocket-Key',
    'Sec-WebSocket-Version',
    'Sec-WebSocket-Protocol',
    'Content-Length',
    'Transfer-Encoding',
    'Host',
    'Expect',
  ),
  fc.oneof(
    word,
    fc.constantFrom(
      'SPDY/3.1',
      'websocket',
      'Upgrade',
      'v4.channel.k8s.io',
      'v5.channel.k8s.io',
      'SPDY/3.1+portforward.k8s.io',
      '13',
      'dGhlIHNhbXBsZSBub25jZQ==',
      'chunked',
      '-1',
      '99999999999999999999',
      '100-continue',
    ),
  ),
);

describe('a streaming server', () => {
  it('outlives bytes that are no HTTP', async () => {
    const bytes = fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(bytes, async (pieces) => void (await tell(pieces))),
      options,
    );
    await assertWell();
  });

  it('answers requests of any method, path and headers, or hangs up', async () => {
    const request = fc.record({
      method: fc.constantFrom('GET', 'POST', 'PUT', 'HEAD', 'OPTIONS', 'CONNECT', 'TRACE', 'X'),
      verb: fc.constantFrom('/exec/', '/attach/', '/portforward/', '/', ''),
      path: fc.oneof(
        { weight: 3, arbitrary: word },
        { weight: 2, arbitrary: fc.constant('{token}') },
      ),
      headers: fc.array(header, { maxLength: 8 }),
      body: fc.uint8Array({ maxLength: 60 }),
    });
    const grant = () => token.exec(fixture.sh('cat', { stdin: true }))?.[1] ?? '';
    let granted = grant();
    await fc.assert(
      fc.asyncProperty(request, async ({ method, verb, path, headers, body }) => {
        const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
        const target = `${verb}${path.replace('{token}', granted)}`;
        const head = `${method} ${target} HTTP/1.1\r\n${lines}\r\n`;
        const said = await tell([Buffer.from(head, 'latin1'), body]);
        if (said.startsWith('HTTP/1.1 101 ')) granted = grant();
        if (said !== '') assert.match(said, /^HTTP\/1\.1 (1|2|4)\d\d /, head);
      }),
      options,
    );
    await assertWell();
  });

  for (const [name, headers] of Object.entries({
    SPDY: 'Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io',
    WebSocket: [
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
      'Sec-WebSocket-Protocol: v5.channel.k8s.io',
    ].join('\r\n'),
  })) {
    it(`outlives frames that are none, over ${name}`, async () => {
      const frames = fc.array(
        fc.oneof(
          fc.uint8Array({ maxLength: 200 }),
          // Control frames and streams of SPDY, frames of WebSocket, with any length.
          fc
            .tuple(
              fc.constantFrom(0x80, 0x00, 0x81, 0x82, 0x88, 0x89, 0xff),
              fc.constantFrom(3, 0, 0xfe, 0xff, 0x7f, 0x80),
              fc.uint8Array({ minLength: 6, maxLength: 60 }),
            )
            .map(([first, second, rest]) => Uint8Array.of(first, second, ...rest)),
        ),
        { minLength: 1, maxLength: 6 },
      );
      await fc.assert(
        fc.asyncProperty(frames, async (pieces) => {
          const { pathname } = new URL(fixture.sh('cat', { stdin: true }));
          const head = `GET ${pathname} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n${headers}\r\n\r\n`;
          const said = await tell([Buffer.from(head)], pieces);
          assert.match(said, /^HTTP\/1\.1 101 /);
        }),
        options,
      );
      await assertWell();
    });
  }

  it('keeps no descriptor of any of them', async () => {
    const limit = descriptors();
    await Promise.all(Array.from({ length: 200 }, () => tell([Buffer.from('GET / HT')])));
    await eventually(() => descriptors() <= limit, 'descriptors are left');
    await assertWell();
  });
});
