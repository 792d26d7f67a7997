import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { credentials } from '../../src/image/auth.ts';
import { parseChallenges } from '../../src/image/challenge.ts';
import { digestOf } from '../../src/image/digest.ts';
import { parseReference } from '../../src/image/reference.ts';
import { Registries } from '../../src/image/registry.ts';

const signal = new AbortController().signal;

type Handler = (request: IncomingMessage, response: ServerResponse, base: string) => void;

async function serve(handler: Handler): Promise<AsyncDisposable & { host: string; log: string[] }> {
  const log: string[] = [];
  const server = createServer((request, response) => {
    log.push(`${request.method} ${request.url} ${request.headers.authorization ?? '-'}`);
    handler(request, response, `http://${host}`);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    host,
    log,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function reply(response: ServerResponse, status: number, body: string, headers = {}): void {
  response.writeHead(status, headers).end(body);
}

async function withRegistries<T>(work: (registries: Registries) => Promise<T>): Promise<T> {
  const registries = new Registries({ configDirs: [], progressTimeoutMs: 60_000 });
  try {
    return await work(registries);
  } finally {
    await registries.close();
  }
}

test('challenges are read as RFC 9110 writes them', () => {
  assert.deepEqual(
    parseChallenges('Bearer realm="https://a/t",service="s, t",scope="repository:x:pull"'),
    [
      {
        scheme: 'bearer',
        parameters: { realm: 'https://a/t', service: 's, t', scope: 'repository:x:pull' },
      },
    ],
  );
  assert.deepEqual(parseChallenges('Basic realm="a \\"b\\"", Bearer realm=x, error=y'), [
    { scheme: 'basic', parameters: { realm: 'a "b"' } },
    { scheme: 'bearer', parameters: { realm: 'x', error: 'y' } },
  ]);
  assert.deepEqual(parseChallenges(''), []);
});

test('credentials come from fields or from base64', () => {
  assert.deepEqual(credentials({ username: 'u', password: 'p' }), ['u', 'p']);
  assert.deepEqual(credentials({ auth: Buffer.from('u:p:q').toString('base64') }), ['u', 'p:q']);
  assert.equal(credentials(undefined), undefined);
  assert.throws(() => credentials({ auth: 'bm9jb2xvbg==' }), { kind: 'InvalidArgument' });
});

test('an anonymous caller gets a bearer token once and keeps it', async () => {
  const body = JSON.stringify({ schemaVersion: 2 });
  await using server = await serve((request, response, base) => {
    if (request.url?.startsWith('/token')) return reply(response, 200, '{"token":"T"}');
    if (request.headers.authorization === 'Bearer T') return reply(response, 200, body);
    reply(response, 401, '', {
      'www-authenticate': `Bearer realm="${base}/token",service="svc",scope="repository:a/b:pull"`,
    });
  });
  await withRegistries(async (registries) => {
    const repository = registries.repository(parseReference(`${server.host}/a/b`), undefined);
    const { digest } = await repository.manifest('latest', signal);
    assert.equal(digest, digestOf(body));
    await repository.manifest('latest', signal);
  });
  assert.deepEqual(server.log, [
    'HEAD /v2/a/b/manifests/latest -',
    'GET /token?service=svc&scope=repository%3Aa%2Fb%3Apull -',
    'HEAD /v2/a/b/manifests/latest Bearer T',
    'GET /v2/a/b/manifests/latest Bearer T',
    'HEAD /v2/a/b/manifests/latest Bearer T',
    'GET /v2/a/b/manifests/latest Bearer T',
  ]);
});

test('user and password answer a basic challenge, and a wrong one is told once', async () => {
  await using server = await serve((request, response) => {
    const good = `Basic ${Buffer.from('u:p').toString('base64')}`;
    if (request.headers.authorization === good) return reply(response, 200, '{}');
    reply(response, 401, '', { 'www-authenticate': 'Basic realm="r"' });
  });
  await withRegistries(async (registries) => {
    const reference = parseReference(`${server.host}/a`);
    await registries.repository(reference, { username: 'u', password: 'p' }).manifest('x', signal);
    for (const auth of [undefined, { username: 'u', password: 'wrong' }]) {
      await assert.rejects(registries.repository(reference, auth).manifest('x', signal), {
        kind: 'FailedPrecondition',
        reason: 'AuthorizationFailed',
      });
    }
  });
});

test('credentials do not follow a redirect to another origin', async () => {
  await using other = await serve((_, response) => reply(response, 200, 'blob'));
  await using server = await serve((request, response) => {
    if (!request.headers.authorization) {
      return reply(response, 401, '', { 'www-authenticate': 'Basic realm="r"' });
    }
    reply(response, 307, '', { location: `http://${other.host}/elsewhere` });
  });
  await withRegistries(async (registries) => {
    const auth = { username: 'u', password: 'p' };
    const repository = registries.repository(parseReference(`${server.host}/a`), auth);
    const chunks: Buffer[] = [];
    const blob = await repository.blob(digestOf('blob'), 0, signal);
    for await (const chunk of blob.chunks) chunks.push(chunk);
    assert.equal(Buffer.concat(chunks).toString(), 'blob');
  });
  assert.deepEqual(other.log, ['GET /elsewhere -']);
});

test('a registry that fails for a moment is asked again', async () => {
  let failures = 2;
  await using server = await serve((_, response) => {
    if (failures-- > 0) return reply(response, 503, '{"errors":[{"code":"BUSY","message":"b"}]}');
    reply(response, 200, '{}');
  });
  await withRegistries(async (registries) => {
    await registries
      .repository(parseReference(`${server.host}/a`), undefined)
      .manifest('x', signal);
  });
  assert.equal(server.log.length, 4, 'three HEADs and, without a digest, the GET');
});

test('a registry that is not there is Unavailable, and a caller that gives up is told so', async () => {
  await withRegistries(async (registries) => {
    const reference = parseReference('127.0.0.1:1/a');
    await assert.rejects(
      registries.repository(reference, undefined).manifest('x', AbortSignal.timeout(100)),
      { kind: 'DeadlineExceeded' },
    );
    await assert.rejects(
      registries.repository(reference, undefined).blob(digestOf(''), 0, signal),
      {
        kind: 'Unavailable',
        reason: 'RegistryUnavailable',
        message: /127\.0\.0\.1:1/,
      },
    );
  });
});

test('a manifest with another digest than asked for is refused', async () => {
  await using server = await serve((_, response) => reply(response, 200, 'other'));
  await withRegistries(async (registries) => {
    const repository = registries.repository(parseReference(`${server.host}/a`), undefined);
    await assert.rejects(repository.manifest(digestOf('wanted'), signal), { kind: 'DataLoss' });
  });
});
