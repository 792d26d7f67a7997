import assert from 'node:assert/strict';
import { test } from 'node:test';
import { authFor, credentials } from '../../src/image/auth.ts';
import { parseChallenges } from '../../src/image/challenge.ts';
import { digestOf } from '../../src/image/digest.ts';
import { parseReference } from '../../src/image/reference.ts';
import { Registries } from '../../src/image/registry.ts';
import { reply, serve } from '../helpers/http-server.ts';

const signal = new AbortController().signal;

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
    const wrong = { username: 'u', password: 'wrong' };
    for (const [auth, message] of [
      [undefined, /it wants credentials, and none were given/],
      [wrong, /HTTP 401 Unauthorized: it does not accept the credentials that were given/],
    ] as const) {
      await assert.rejects(registries.repository(reference, auth).manifest('x', signal), {
        kind: 'FailedPrecondition',
        reason: 'AuthorizationFailed',
        message,
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

test('credentials go to the host that they are for, and in the clear only where that is meant', () => {
  const auth = { username: 'u', password: 'p' };
  const host = (root: string, mirror: boolean) => ({ root: new URL(root), mirror });
  const cases: [
    serverAddress: string | undefined,
    root: string,
    mirror: boolean,
    given: boolean,
  ][] = [
    [undefined, 'https://quay.io/v2/', false, true],
    [undefined, 'http://quay.io/v2/', false, true],
    [undefined, 'https://mirror/v2/', true, true],
    [undefined, 'http://mirror/v2/', true, false],
    [undefined, 'http://127.0.0.1:5000/v2/', true, true],
    ['quay.io', 'https://quay.io/v2/', false, true],
    ['https://quay.io/v1/', 'https://quay.io/v2/', false, true],
    ['quay.io:443', 'https://quay.io/v2/', false, true],
    ['quay.io', 'https://mirror/v2/', true, false],
    ['mirror', 'https://mirror/v2/', true, true],
    ['mirror', 'https://quay.io/v2/', false, false],
    ['mirror:5000', 'http://mirror:5000/v2/', true, true],
    ['https://index.docker.io/v1/', 'https://registry-1.docker.io/v2/', false, true],
    ['docker.io', 'https://docker.io.evil/v2/', true, false],
  ];
  for (const [serverAddress, root, mirror, given] of cases) {
    const shown = authFor({ ...auth, ...(serverAddress && { serverAddress }) }, host(root, mirror));
    assert.equal(shown !== undefined, given, `${serverAddress} ${root}`);
  }
});

/** A registry with bearer tokens, which `issue` makes at /token. */
function tokenRegistry(
  issue: (count: number) => object,
  good: (header: string) => boolean,
  realm = (base: string) => `${base}/token`,
) {
  let issued = 0;
  return serve((request, response, base) => {
    if (request.url?.startsWith('/token')) {
      issued += 1;
      return reply(response, 200, JSON.stringify(issue(issued)));
    }
    if (good(request.headers.authorization ?? '')) return reply(response, 200, '{}');
    reply(response, 401, '', { 'www-authenticate': `Bearer realm="${realm(base)}",service="s"` });
  });
}

const tokensIn = (log: string[]) => log.filter((line) => line.includes('/token')).length;

test('a token is kept for its repository, from pull to pull, but for other callers', async () => {
  await using server = await tokenRegistry(
    (count) => ({ token: `T${count}`, expires_in: 300 }),
    (header) => header.startsWith('Bearer T'),
  );
  await withRegistries(async (registries) => {
    const reference = parseReference(`${server.host}/a`);
    const user = { username: 'u', password: 'p' };
    for (let pull = 0; pull < 3; pull += 1) {
      await registries.repository(reference, undefined).manifest('x', signal);
    }
    assert.equal(tokensIn(server.log), 1);
    await registries.repository(reference, user).manifest('x', signal);
    await registries
      .repository(parseReference(`${server.host}/b`), undefined)
      .manifest('x', signal);
    assert.equal(tokensIn(server.log), 3);
    assert.match(
      server.log.findLast((line) => line.includes('/token')) ?? '',
      /scope=repository%3Ab/,
    );
  });
});

test('a token that ends is renewed before, by the clock of who issued it', async () => {
  await using server = await tokenRegistry(
    // Made ten minutes ago: hardly anything is left of its time.
    (count) => ({
      access_token: `T${count}`,
      expires_in: 600.2,
      issued_at: new Date(Date.now() - 600_000).toISOString(),
    }),
    (header) => header.startsWith('Bearer T'),
  );
  await withRegistries(async (registries) => {
    const repository = registries.repository(parseReference(`${server.host}/a`), undefined);
    await repository.manifest('x', signal);
    await new Promise((resolve) => setTimeout(resolve, 1300));
    const before = server.log.length;
    await repository.manifest('x', signal);
    assert.match(server.log[before] ?? '', /^GET \/token/, 'no request was wasted on the old one');
    assert.doesNotMatch(server.log.slice(before).join(), / -$/);
  });
});

test('a token that stops working in the middle of a pull is renewed once for all', async () => {
  let current = 1;
  await using server = await tokenRegistry(
    () => ({ token: `T${current}`, expires_in: 3600 }),
    (header) => header === `Bearer T${current}`,
  );
  await withRegistries(async (registries) => {
    const repository = registries.repository(parseReference(`${server.host}/a`), undefined);
    await repository.manifest('x', signal);
    current = 2;
    await Promise.all(
      [0, 1, 2].map(async () => {
        const { chunks } = await repository.blob(digestOf('{}'), 0, signal);
        for await (const chunk of chunks) assert.equal(chunk.toString(), '{}');
      }),
    );
    assert.equal(tokensIn(server.log), 2);
  });
});

test('an endpoint that knows no POST is asked by GET, and the other way round', async () => {
  const asked: string[] = [];
  let only = 'GET';
  await using server = await serve((request, response, base) => {
    if (request.url?.startsWith('/token')) {
      let text = '';
      request.on('data', (piece) => {
        text += piece;
      });
      request.on('end', () => {
        asked.push(`${request.method} ${new URLSearchParams(text).get('grant_type')}`);
        if (request.method !== only) return reply(response, 405);
        reply(response, 200, '{"token":"T"}');
      });
      return;
    }
    if (request.headers.authorization) return reply(response, 200, '{}');
    reply(response, 401, '', { 'www-authenticate': `Bearer realm="${base}/token"` });
  });
  const pull = (auth: object) =>
    withRegistries((registries) =>
      registries.repository(parseReference(`${server.host}/a`), auth).manifest('x', signal),
    );
  const user = { username: 'u', password: 'p' };
  await pull({ ...user, identityToken: 'I' });
  assert.deepEqual(asked.splice(0), ['POST refresh_token', 'GET null']);
  only = 'POST';
  await pull({ identityToken: 'I' });
  await pull(user);
  assert.deepEqual(asked.splice(0), ['POST refresh_token', 'GET null', 'POST password']);
  only = 'GET';
  await assert.rejects(pull({ identityToken: 'I' }), { message: /HTTP 405/ });
});

test('a registry token is sent as it is, and never exchanged', async () => {
  await using server = await tokenRegistry(
    () => ({ token: 'T' }),
    (header) => header === 'Bearer R',
  );
  await withRegistries(async (registries) => {
    const reference = parseReference(`${server.host}/a`);
    await registries.repository(reference, { registryToken: 'R' }).manifest('x', signal);
    await assert.rejects(
      registries.repository(reference, { registryToken: 'wrong' }).manifest('x', signal),
      { reason: 'AuthorizationFailed', message: /does not accept the credentials/ },
    );
    assert.equal(tokensIn(server.log), 0);
  });
});

test('credentials are not taken to a realm elsewhere in the clear', async () => {
  await using elsewhere = await serve((_, response) => reply(response, 200, '{"token":"T"}'));
  const port = elsewhere.host.split(':')[1];
  await using server = await tokenRegistry(
    () => ({}),
    (header) => header === 'Bearer T',
    () => `http://localhost:${port}/token`,
  );
  await withRegistries(async (registries) => {
    const reference = parseReference(`${server.host}/a`);
    for (const auth of [{ username: 'u', password: 'p' }, { identityToken: 'I' }]) {
      await assert.rejects(registries.repository(reference, auth).manifest('x', signal), {
        kind: 'FailedPrecondition',
        message: /in the clear/,
      });
    }
    assert.deepEqual(elsewhere.log, []);
    // Nobody's secret is at stake here.
    await registries.repository(reference, undefined).manifest('x', signal);
  });
});

test('a form with credentials follows no redirect to another origin', async () => {
  await using elsewhere = await serve((_, response) => reply(response, 200, '{"token":"T"}'));
  await using server = await serve((request, response, base) => {
    if (request.url?.startsWith('/token')) {
      return reply(response, 307, '', { location: `http://${elsewhere.host}/token` });
    }
    reply(response, 401, '', { 'www-authenticate': `Bearer realm="${base}/token"` });
  });
  await withRegistries(async (registries) => {
    const repository = registries.repository(parseReference(`${server.host}/a`), {
      identityToken: 'I',
    });
    await assert.rejects(repository.blob(digestOf(''), 0, signal), {
      message: /redirects credentials/,
    });
    assert.deepEqual(elsewhere.log, []);
  });
});
