import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { SpdyClient, UpgradeRefused, upgradeToSpdy } from '../helpers/spdy-client.ts';
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

const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex');

describe('exec over SPDY', async () => {
  const fixture = await StreamFixture.start();

  it('carries input, both outputs and the exit code', async () => {
    const url = fixture.sh('cat; echo error >&2; exit 3', { stdin: true });
    const { client, stream } = await openCommand(url, ['stdin', 'stdout', 'stderr']);
    assert.equal(client.protocol, 'v4.channel.k8s.io');
    await stream('stdin').write('in');
    await stream('stdin').write('put');
    await stream('stdin').end();
    assert.equal(await stream('stdout').text(), 'input');
    assert.equal(await stream('stderr').text(), 'error\n');
    const { reason, details } = JSON.parse(await stream('error').text());
    assert.deepEqual(
      [reason, details.causes],
      ['NonZeroExitCode', [{ reason: 'ExitCode', message: '3' }]],
    );
    await client.closed;
    assert.deepEqual(client.events, ['goaway 0']);
    await fixture.released();
  });

  for (const [protocol, success, failure] of [
    ['channel.k8s.io', '', /^command terminated .* exit status 7$/],
    ['v2.channel.k8s.io', '', /^command terminated .* exit status 7$/],
    ['v3.channel.k8s.io', '', /^command terminated .* exit status 7$/],
    ['v4.channel.k8s.io', '{"metadata":{},"status":"Success"}', /"message":"7"/],
  ] as const) {
    it(`tells the status as ${protocol} has it`, async () => {
      const good = await openCommand(fixture.sh('true'), ['stdout', 'stderr'], protocol);
      assert.equal(await good.stream('error').text(), success);
      const bad = await openCommand(fixture.sh('exit 7'), ['stdout', 'stderr'], protocol);
      assert.match(await bad.stream('error').text(), failure);
      assert.equal(bad.client.protocol, protocol);
    });
  }

  it('tells why a command did not start', async () => {
    const url = fixture.sh('', { argv: ['missing'] });
    const { stream } = await openCommand(url, ['stdout', 'stderr']);
    const status = JSON.parse(await stream('error').text());
    assert.deepEqual([status.reason, status.message], ['InternalError', 'exec: no such file']);
  });

  it('has a terminal of one output and with sizes', async () => {
    const url = fixture.sh('cat', { stdin: true, stderr: false, tty: true });
    const { stream } = await openCommand(url, ['stdin', 'stdout', 'resize']);
    await stream('resize').write('{"Width":120,"Height":40}\n');
    await stream('stdin').write('x');
    await stream('stdout').until((text) => text === 'x');
    await eventually(() => fixture.backend.resizes.length === 1, 'no size came');
    assert.deepEqual(fixture.backend.resizes, [[40, 120]]);
    await stream('stdin').end();
    assert.match(await stream('error').text(), /Success/);
  });

  it('expects no sizes of clients before version 3', async () => {
    const url = fixture.sh('echo x', { stderr: false, tty: true });
    const { stream } = await openCommand(url, ['stdout'], 'v2.channel.k8s.io');
    assert.equal(await stream('stdout').text(), 'x\n');
  });

  it('carries 20 MB each way', async () => {
    const bytes = randomBytes(20_000_000);
    const { stream } = await openCommand(fixture.sh('cat', { stdin: true }), [
      'stdin',
      'stdout',
      'stderr',
    ]);
    for (let at = 0; at < bytes.length; at += 100_000) {
      await stream('stdin').write(bytes.subarray(at, at + 100_000));
    }
    await stream('stdin').end();
    await stream('stdout').ended;
    assert.equal(sha256(Buffer.concat(stream('stdout').chunks)), sha256(bytes));
  });

  it('holds a command back whose client does not read, and then loses nothing', async () => {
    const url = fixture.sh('head -c 30000000 /dev/zero; echo all >&2');
    const { client, stream } = await openCommand(url, ['stdout', 'stderr']);
    client.transport.pause();
    await sleep(300);
    assert.equal(stream('stderr').received, '', 'the command waits');
    client.transport.resume();
    await stream('stdout').ended;
    assert.equal(Buffer.concat(stream('stdout').chunks).length, 30_000_000);
    assert.match(await stream('error').text(), /Success/);
  });

  it('takes no more input than a command that reads none leaves room for', async () => {
    const go = join(directory, 'go');
    const script = `until [ -e ${go} ]; do sleep 0.05; done; exec cat >/dev/null`;
    const url = fixture.sh(script, { stdin: true });
    const { client, stream } = await openCommand(url, ['stdin', 'stdout', 'stderr']);
    let sent = 0;
    const writing = (async () => {
      for (; sent < 20_000_000; sent += 100_000) await stream('stdin').write(Buffer.alloc(100_000));
      await stream('stdin').end();
    })();
    await settled(() => sent);
    assert.ok(sent < 12_000_000, `${sent} bytes were taken`);
    writeFileSync(go, '');
    await writing;
    assert.match(await stream('error').text(), /Success/);
    await client.closed;
  });

  it('goes on when a command closes its input', async () => {
    const go = join(directory, 'go-on');
    const script = `exec <&-; until [ -e ${go} ]; do sleep 0.05; done; echo done`;
    const url = fixture.sh(script, { stdin: true });
    const { client, stream } = await openCommand(url, ['stdin', 'stdout', 'stderr']);
    for (let i = 0; i < 300; i++) await stream('stdin').write(Buffer.alloc(100_000));
    await client.ping(1);
    await eventually(() => client.events.includes('ping 1'), 'the input is in the way');
    assert.equal(stream('stdout').received, '', 'it still runs');
    writeFileSync(go, '');
    assert.equal(await stream('stdout').text(), 'done\n');
    assert.match(await stream('error').text(), /Success/);
  });

  it('does not wait for ever for output that a background child holds open', async () => {
    const begin = Date.now();
    const { stream } = await openCommand(fixture.sh('sleep 30 & echo $!'), ['stdout', 'stderr']);
    assert.match(await stream('error').text(), /Success/);
    const took = Date.now() - begin;
    assert.ok(took >= 450 && took < 3_000, `${took} ms`);
    process.kill(Number(stream('stdout').received), 'SIGKILL');
  });

  it('kills the command when the client vanishes', async () => {
    const { client, stream } = await openCommand(fixture.sh('echo up; sleep 60'), [
      'stdout',
      'stderr',
    ]);
    await stream('stdout').until((text) => text === 'up\n');
    client.close();
    await fixture.released();
  });

  it('kills it too when the client vanishes while the command floods it', async () => {
    const { client } = await openCommand(fixture.sh('cat /dev/zero'), ['stdout', 'stderr']);
    client.transport.pause();
    await sleep(100);
    client.close();
    await fixture.released();
  });

  it('gives up a command that does not start when the client vanishes', async () => {
    const { client } = await openCommand(fixture.sh('', { argv: ['hang'] }), ['stdout', 'stderr']);
    await sleep(20);
    client.close();
    await client.closed;
    await fixture.released();
  });

  it('takes each stream once, and only those that were asked for', async () => {
    const client = await SpdyClient.connect(fixture.sh('true'), 'v4.channel.k8s.io');
    await client.open({ streamtype: 'error' });
    await assert.rejects(client.open({ streamtype: 'error' }), /refused with status 3/);
    await assert.rejects(client.open({ streamtype: 'stdin' }), /refused with status 3/);
    await assert.rejects(client.open({ streamtype: 'other' }), /refused with status 3/);
    await assert.rejects(client.open({}), /refused with status 3/);
    client.close();
  });

  it('answers pings, and acknowledges input', async () => {
    const { client, stream } = await openCommand(fixture.sh('cat', { stdin: true }), [
      'stdin',
      'stdout',
      'stderr',
    ]);
    await client.ping(1);
    await stream('stdin').write(Buffer.alloc(40_000));
    await stream('stdout').until((text) => text.length === 40_000);
    await eventually(() => client.events.length >= 3, 'no answer');
    assert.equal(client.events[0], 'ping 1');
    for (const id of [stream('stdin').id, 0]) {
      const granted = client.events
        .filter((event) => event.startsWith(`window ${id} `))
        .reduce((sum, event) => sum + Number(event.split(' ')[2]), 0);
      assert.ok(granted > 30_000, 'a client with SPDY flow control could go on');
    }
    client.close();
    await fixture.released();
  });

  it('leaks nothing in 100 sessions, 20 at a time', async () => {
    const session = async (i: number) => {
      const script = `cat; exit ${i % 3}`;
      const url = fixture.sh(script, { stdin: true });
      const { client, stream } = await openCommand(url, ['stdin', 'stdout', 'stderr']);
      await stream('stdin').write(`number ${i}`);
      // Every fifth client goes away in the middle.
      if (i % 5 === 0) return client.close();
      await stream('stdin').end();
      assert.equal(await stream('stdout').text(), `number ${i}`);
      await stream('error').ended;
      await client.closed;
    };
    await session(1);
    await fixture.released();
    await sleep(50);
    const before = descriptors();
    for (let i = 0; i < 100; i += 20) {
      await Promise.all(Array.from({ length: 20 }, (_, j) => session(i + j)));
    }
    await fixture.released();
    await eventually(() => descriptors() <= before, 'descriptors leak');
  });
});

describe('attach over SPDY', async () => {
  const fixture = await StreamFixture.start();

  it('ends well when the process ends', async () => {
    const url = fixture.server.attach({
      containerId: 'c',
      stdin: true,
      stdout: true,
      stderr: false,
      tty: false,
    });
    const { stream } = await openCommand(url, ['stdin', 'stdout']);
    await stream('stdin').write('hello');
    await stream('stdout').until((text) => text === 'hello');
    await stream('stdin').end();
    assert.match(await stream('error').text(), /Success/);
    assert.equal(fixture.backend.requests.length, 1);
    await fixture.released();
  });
});

describe('a streaming address', async () => {
  const fixture = await StreamFixture.start();
  const refusal = async (url: string, protocols: string, headers = {}) => {
    try {
      await upgradeToSpdy(url, protocols, headers);
    } catch (error) {
      if (error instanceof UpgradeRefused) return error;
      throw error;
    }
    throw new Error('it was not refused');
  };

  it('is good for one client', async () => {
    const url = fixture.sh('true');
    const client = await SpdyClient.connect(url, 'v4.channel.k8s.io');
    assert.equal((await refusal(url, 'v4.channel.k8s.io')).status, 404);
    client.close();
  });

  it('is not found with another token, for another verb, or elsewhere', async () => {
    const url = fixture.sh('true');
    const wrong = [
      url.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')),
      url.replace('/exec/', '/attach/'),
      `${url}A`,
      `${url}/x`,
      fixture.server.url,
      `${fixture.server.url}/exec/`,
    ];
    for (const each of wrong) assert.equal((await refusal(each, 'v4.channel.k8s.io')).status, 404);
    (await SpdyClient.connect(url, 'v4.channel.k8s.io')).close();
  });

  it('stays good when the client asks for what there is not', async () => {
    const url = fixture.sh('true');
    const unknown = await refusal(url, 'v9.channel.k8s.io');
    assert.equal(unknown.status, 403);
    const accepted = unknown.response.headers['x-accepted-stream-protocol-versions'];
    assert.match(String(accepted), /v4\.channel\.k8s\.io/);
    assert.equal((await refusal(url, '')).status, 400);
    assert.equal((await refusal(url, 'v4.channel.k8s.io', { Upgrade: 'h2c' })).status, 400);
    assert.equal((await fetch(url)).status, 400);
    assert.equal((await fetch(`${url}A`)).status, 404);
    (await SpdyClient.connect(url, 'v4.channel.k8s.io')).close();
  });
});

describe('exec over WebSocket', async () => {
  const fixture = await StreamFixture.start();

  it('carries input, both outputs and the exit code (v5)', async () => {
    const url = fixture.sh('cat; echo error >&2; exit 3', { stdin: true });
    const client = await ChannelClient.connect(url, ['v5.channel.k8s.io', 'v4.channel.k8s.io']);
    assert.equal(client.socket.protocol, 'v5.channel.k8s.io');
    assert.equal(client.socket.extensions, '');
    client.send(0, 'input');
    client.socket.send(Buffer.of(255, 0));
    assert.equal(await client.closed, 1000);
    assert.deepEqual([client.text(1), client.text(2)], ['input', 'error\n']);
    assert.match(client.text(3), /"reason":"ExitCode","message":"3"/);
    await fixture.released();
  });

  for (const [protocol, status] of [
    ['v4.channel.k8s.io', /"message":"3"/],
    ['v3.channel.k8s.io', /exit status 3/],
    ['v2.channel.k8s.io', /exit status 3/],
    ['v1.channel.k8s.io', /exit status 3/],
    ['channel.k8s.io', /exit status 3/],
    ['base64.channel.k8s.io', /exit status 3/],
    ['v4.base64.channel.k8s.io', /"message":"3"/],
    ['', /exit status 3/],
  ] as const) {
    it(`speaks ${protocol || 'with clients that name no protocol'}`, async () => {
      const url = fixture.sh('head -n1; exit 3', { stdin: true });
      const client = await ChannelClient.connect(url, protocol ? [protocol] : []);
      assert.equal(client.socket.protocol, protocol);
      client.send(0, 'über\n');
      assert.equal(await client.closed, 1000);
      assert.equal(client.text(1), 'über\n');
      assert.equal(client.channels.get(1)?.[0]?.length, 0, 'the first message says nothing');
      assert.match(client.text(3), status);
    });
  }

  it('has a terminal with sizes', async () => {
    const url = fixture.sh('head -n1', { stdin: true, stderr: false, tty: true });
    const client = await ChannelClient.connect(url, ['v5.channel.k8s.io']);
    client.send(4, '{"Width":120,"Height":40}');
    await eventually(() => fixture.backend.resizes.length === 1, 'no size came');
    client.send(0, 'x\n');
    await client.closed;
    assert.deepEqual(fixture.backend.resizes, [[40, 120]]);
  });

  it('drops what is sent where nobody listens', async () => {
    const url = fixture.sh('sleep 0.1; echo done');
    const client = await ChannelClient.connect(url, ['v5.channel.k8s.io']);
    for (const channel of [0, 1, 2, 3, 4, 5, 254]) client.send(channel, Buffer.alloc(200_000));
    client.socket.send(Buffer.alloc(0));
    client.socket.send(Buffer.of(255));
    client.socket.send(Buffer.of(255, 77));
    assert.equal(await client.closed, 1000);
    assert.equal(client.text(1), 'done\n');
  });

  it('carries 20 MB each way', async () => {
    const bytes = randomBytes(20_000_000);
    const url = fixture.sh('cat', { stdin: true });
    const client = await ChannelClient.connect(url, ['v5.channel.k8s.io']);
    for (let at = 0; at < bytes.length; at += 500_000) {
      client.send(0, bytes.subarray(at, at + 500_000));
    }
    client.socket.send(Buffer.of(255, 0));
    await client.closed;
    assert.equal(sha256(Buffer.concat(client.channels.get(1) ?? [])), sha256(bytes));
  });

  it('takes no more input than a command that reads none leaves room for', async () => {
    const go = join(directory, 'go-socket');
    const script = `until [ -e ${go} ]; do sleep 0.05; done; wc -c`;
    const url = fixture.sh(script, { stdin: true });
    const client = await ChannelClient.connect(url, ['v5.channel.k8s.io']);
    for (let i = 0; i < 200; i++) client.send(0, Buffer.alloc(100_000));
    client.socket.send(Buffer.of(255, 0));
    const left = await settled(() => client.socket.bufferedAmount);
    assert.ok(left > 5_000_000, 'the rest waits at the client');
    writeFileSync(go, '');
    assert.equal(await client.closed, 1000);
    assert.equal(Number(client.text(1)), 20_000_000);
  });

  it('does not take a message of more than a MiB', async () => {
    const client = await ChannelClient.connect(fixture.sh('sleep 60', { stdin: true }), [
      'v5.channel.k8s.io',
    ]);
    client.socket.send(Buffer.alloc(2_000_000));
    client.socket.on('error', () => {});
    assert.equal(await client.closed, 1009);
    await fixture.released();
  });

  it('kills the command when the client vanishes', async () => {
    const client = await ChannelClient.connect(fixture.sh('cat /dev/zero'), ['v5.channel.k8s.io']);
    client.socket.pause();
    await sleep(50);
    client.socket.terminate();
    await fixture.released();
  });

  it('refuses a subprotocol that there is not', async () => {
    const url = fixture.sh('true');
    await assert.rejects(ChannelClient.connect(url, ['v9.channel.k8s.io']), /403/);
    const client = await ChannelClient.connect(url, ['v4.channel.k8s.io']);
    await client.closed;
  });

  it('answers pings', async () => {
    const url = fixture.sh('sleep 0.2');
    const client = await ChannelClient.connect(url, ['v5.channel.k8s.io']);
    const pong = new Promise((resolve) => client.socket.once('pong', resolve));
    client.socket.ping('are you there');
    assert.equal(String(await pong), 'are you there');
    await client.closed;
  });
});
