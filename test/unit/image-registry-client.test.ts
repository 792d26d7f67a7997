import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Digest, digestOf } from '../../src/image/digest.ts';
import { parseReference } from '../../src/image/reference.ts';
import { Registries, type RegistriesOptions } from '../../src/image/registry.ts';
import { reply, serve } from '../helpers/http-server.ts';
import { scratchDirectory } from '../helpers/image-fixture.ts';

const signal = new AbortController().signal;
const BODY = JSON.stringify({ schemaVersion: 2 });
const DIGEST = digestOf(BODY);

async function withRegistries<T>(
  work: (registries: Registries) => Promise<T>,
  options: Partial<RegistriesOptions> = {},
): Promise<T> {
  const registries = new Registries({ configDirs: [], progressTimeoutMs: 60_000, ...options });
  try {
    return await work(registries);
  } finally {
    await registries.close();
  }
}

/** Registries for which "example.invalid" is configured. */
async function withHosts<T>(
  toml: string,
  work: (registries: Registries) => Promise<T>,
  options: Partial<RegistriesOptions> = {},
): Promise<T> {
  await using scratch = await scratchDirectory();
  mkdirSync(join(scratch.path, 'example.invalid'));
  writeFileSync(join(scratch.path, 'example.invalid', 'hosts.toml'), toml);
  return await withRegistries(work, { configDirs: [scratch.path], ...options });
}

const example = parseReference('example.invalid/a');

async function collect(chunks: AsyncIterable<Buffer>): Promise<string> {
  const kept: Buffer[] = [];
  for await (const chunk of chunks) kept.push(chunk);
  return Buffer.concat(kept).toString();
}

/** Answers as a registry that has one manifest and one blob, both BODY. */
function registry(refuse?: (request: IncomingMessage) => number | undefined) {
  return serve((request, response) => {
    const status = refuse?.(request);
    if (status !== undefined) return reply(response, status);
    const headers = { 'docker-content-digest': DIGEST, 'content-length': BODY.length };
    reply(response, 200, request.method === 'HEAD' ? '' : BODY, headers);
  });
}

test('a tag that names a manifest that is known costs one HEAD', async () => {
  await using server = await registry();
  await withRegistries(async (registries) => {
    const repository = registries.repository(parseReference(`${server.host}/a`), undefined);
    const asked: Digest[] = [];
    const known = async (digest: Digest) => {
      asked.push(digest);
      return Buffer.from(BODY);
    };
    assert.equal((await repository.manifest('x', signal, known)).bytes.toString(), BODY);
    assert.deepEqual(asked, [DIGEST]);
    assert.deepEqual(server.log, ['HEAD /v2/a/manifests/x -']);
    // Whoever was let in need not ask again for what the index names.
    await repository.manifest(DIGEST, signal, known);
    assert.equal(server.log.length, 1);
    // What is known wrongly does not count.
    await repository.manifest('x', signal, async () => Buffer.from('other'));
    assert.deepEqual(server.log.slice(1), [
      'HEAD /v2/a/manifests/x -',
      `GET /v2/a/manifests/${DIGEST} -`,
    ]);
  });
});

test('a known digest is not shown to a caller whom the registry does not let in', async () => {
  await using server = await registry(() => 403);
  await withRegistries(async (registries) => {
    const repository = registries.repository(parseReference(`${server.host}/a`), undefined);
    await assert.rejects(
      repository.manifest(DIGEST, signal, async () => Buffer.from(BODY)),
      { reason: 'AuthorizationFailed' },
    );
  });
});

test('a registry without HEAD, or whose digest leads nowhere, is asked by GET', async () => {
  for (const status of [400, 404, 405, 500, 501]) {
    await using server = await registry((request) =>
      request.method === 'HEAD' ? status : undefined,
    );
    await withRegistries(async (registries) => {
      const repository = registries.repository(parseReference(`${server.host}/a`), undefined);
      assert.equal((await repository.manifest('x', signal)).digest, DIGEST);
      assert.deepEqual(server.log, ['HEAD /v2/a/manifests/x -', 'GET /v2/a/manifests/x -']);
    });
  }
  await using server = await registry((request) =>
    request.url?.includes('sha256') ? 404 : undefined,
  );
  await withRegistries(async (registries) => {
    const repository = registries.repository(parseReference(`${server.host}/a`), undefined);
    assert.equal((await repository.manifest('x', signal)).digest, DIGEST);
    assert.equal(server.log.at(-1), 'GET /v2/a/manifests/x -');
  });
});

test('mirrors are asked in their order, told the registry, and then the server', async () => {
  await using first = await registry(() => 404);
  await using second = await registry();
  await using server = await registry();
  const toml = (extra = '') => `
server = "http://${server.host}"
[host."http://${first.host}"]
[host."http://${second.host}/cache"]
${extra}`;
  await withHosts(toml(), async (registries) => {
    await registries.repository(example, undefined).manifest('x', signal);
  });
  assert.deepEqual(first.log, [
    'HEAD /v2/a/manifests/x?ns=example.invalid -',
    'GET /v2/a/manifests/x?ns=example.invalid -',
    `GET /v2/a/manifests/${DIGEST}?ns=example.invalid -`,
  ]);
  assert.equal(second.log[0], 'HEAD /cache/v2/a/manifests/x?ns=example.invalid -');
  assert.deepEqual(server.log, []);

  second.log.splice(0);
  await withHosts(toml('capabilities = ["pull"]'), async (registries) => {
    await registries.repository(example, undefined).manifest('x', signal);
  });
  assert.deepEqual(second.log, [`GET /cache/v2/a/manifests/${DIGEST}?ns=example.invalid -`]);
  assert.equal(server.log[0], 'HEAD /v2/a/manifests/x?ns=example.invalid -');
});

test('whatever is wrong with a mirror, the next host is asked, and first from then on', async () => {
  for (const status of [400, 401, 403, 404, 429, 500, 503]) {
    await using mirror = await registry(() => status);
    await using server = await registry();
    const toml = `server = "http://${server.host}"\n[host."http://${mirror.host}"]`;
    await withHosts(toml, async (registries) => {
      const repository = registries.repository(example, undefined);
      const { chunks } = await repository.blob(DIGEST, 0, signal);
      assert.equal(await collect(chunks), BODY);
      await repository.blob(DIGEST, 0, signal).then((blob) => collect(blob.chunks));
      const passing = status === 429 || status >= 500;
      assert.equal(mirror.log.length, passing ? 1 : 2, `${status}`);
    });
  }
  await using server = await registry();
  for (const mirror of ['http://127.0.0.1:1', `https://${server.host}`, 'http://nowhere.invalid']) {
    const toml = `server = "http://${server.host}"\n[host."${mirror}"]`;
    await withHosts(toml, async (registries) => {
      await registries.repository(example, undefined).manifest('x', signal);
    });
  }
});

test('where all fail, the error says what each said, and the server decides', async () => {
  await using mirror = await registry(() => 503);
  await using server = await registry(() => 404);
  const toml = `server = "http://${server.host}"\n[host."http://${mirror.host}"]`;
  await withHosts(toml, async (registries) => {
    await assert.rejects(registries.repository(example, undefined).manifest('x', signal), {
      kind: 'NotFound',
      message: new RegExp(
        `manifest x of example.invalid/a: ${mirror.host}/v2/a/.*HTTP 503 Service Unavailable; ${server.host}/.*HTTP 404 Not Found`,
      ),
    });
  });
  const none = `server = "http://${server.host}"\ncapabilities = ["push"]`;
  await withHosts(none, async (registries) => {
    await assert.rejects(registries.repository(example, undefined).manifest('x', signal), {
      kind: 'FailedPrecondition',
      message: /capability "resolve"/,
    });
  });
});

test('headers of a host go to it, and to nobody that it redirects to', async () => {
  const seen: (string | undefined)[] = [];
  await using storage = await serve((request, response) => {
    seen.push(String(request.headers['x-secret']));
    reply(response, 200, BODY);
  });
  await using server = await serve((request, response) => {
    seen.push(String(request.headers['x-secret']));
    reply(response, 307, '', { location: `http://${storage.host}/x?sig=hunter2` });
  });
  const toml = `server = "http://${server.host}"\n[header]\nX-Secret = ["one", "two"]`;
  await withHosts(toml, async (registries) => {
    const { chunks } = await registries.repository(example, undefined).blob(DIGEST, 0, signal);
    assert.equal(await collect(chunks), BODY);
  });
  assert.deepEqual(seen, ['one, two', 'undefined']);
});

test('no secret of a redirect is in an error', async () => {
  const locations = [
    'http://127.0.0.1:1/x?sig=hunter2',
    'http://nowhere.invalid/x?sig=hunter2',
    'ftp://a/?sig=hunter2',
    'https://[/?sig=hunter2',
    '/v2/loop?sig=hunter2',
  ];
  for (const location of locations) {
    await using server = await serve((_, response) => reply(response, 307, '', { location }));
    await withRegistries(async (registries) => {
      const repository = registries.repository(parseReference(`${server.host}/a`), undefined);
      await assert.rejects(repository.blob(DIGEST, 0, signal), (error: Error) => {
        assert.doesNotMatch(`${error.message} ${JSON.stringify(error)}`, /hunter2/);
        return true;
      });
    });
  }
});

test('a blob goes on where it is asked to, or from the start where that cannot be', async () => {
  const ranges: (string | undefined)[] = [];
  let mode = 'range';
  await using server = await serve((request, response) => {
    const { range } = request.headers;
    ranges.push(range);
    const from = Number(/bytes=(\d+)-/.exec(range ?? '')?.[1] ?? 0);
    if (range === undefined || mode === 'none') return reply(response, 200, BODY);
    if (mode === '416') return reply(response, 416);
    const start = mode === 'wrong' ? 0 : from;
    reply(response, 206, BODY.slice(start), {
      'content-range': `bytes ${start}-${BODY.length - 1}/${BODY.length}`,
    });
  });
  const cases: [mode: string, offset: number, requests: number][] = [
    ['range', 7, 1],
    ['none', 0, 1],
    ['416', 0, 2],
    ['wrong', 0, 2],
  ];
  await withRegistries(async (registries) => {
    const repository = registries.repository(parseReference(`${server.host}/a`), undefined);
    for (const [name, offset, requests] of cases) {
      mode = name;
      ranges.splice(0);
      const blob = await repository.blob(DIGEST, 7, signal);
      assert.equal(blob.offset, offset, name);
      assert.equal(await collect(blob.chunks), BODY.slice(offset), name);
      assert.deepEqual(ranges, ['bytes=7-', undefined].slice(0, requests), name);
    }
  });
});

test('a connection that breaks in a body is Unavailable, and silence says how long', async () => {
  let silent = false;
  await using server = await serve((_, response) => {
    response.writeHead(200, { 'content-length': 100 });
    response.write('some');
    if (!silent) setTimeout(() => response.destroy(), 50);
  });
  await withRegistries(
    async (registries) => {
      const repository = registries.repository(parseReference(`${server.host}/a`), undefined);
      const broken = await repository.blob(DIGEST, 0, signal);
      await assert.rejects(collect(broken.chunks), {
        kind: 'Unavailable',
        reason: 'RegistryUnavailable',
        message: new RegExp(`registry ${server.host}: the connection broke`),
      });
      silent = true;
      const stalled = await repository.blob(DIGEST, 0, signal);
      await assert.rejects(collect(stalled.chunks), {
        kind: 'Unavailable',
        reason: 'RegistryUnavailable',
        message: /it sent no byte for 0\.6 s/,
      });
      const stop = new AbortController();
      const left = await repository.blob(DIGEST, 0, stop.signal);
      setTimeout(() => stop.abort(), 50);
      await assert.rejects(collect(left.chunks), { kind: 'Cancelled' });
    },
    { progressTimeoutMs: 600 },
  );
});

test('a mirror that accepts and stays silent holds nobody up for long', async () => {
  await using mirror = await serve(() => {});
  await using server = await registry();
  const toml = `server = "http://${server.host}"\n[host."http://${mirror.host}"]\n`;
  await withHosts(
    toml,
    async (registries) => {
      const repository = registries.repository(example, undefined);
      assert.equal((await repository.manifest('x', signal)).digest, DIGEST);
      const blob = await repository.blob(DIGEST, 0, signal);
      assert.equal(await collect(blob.chunks), BODY);
      assert.equal(mirror.log.length, 1, 'it was asked once, and then after the others');
    },
    { patienceMs: 500 },
  );
});

test('a host that is asked too often says when to come back', async () => {
  let refusals = 1;
  await using server = await serve((_, response) => {
    if (refusals-- > 0) return reply(response, 429, '', { 'retry-after': '1' });
    reply(response, 200, BODY);
  });
  await withRegistries(async (registries) => {
    const started = performance.now();
    await registries
      .repository(parseReference(`${server.host}/a`), undefined)
      .manifest('x', signal);
    assert.ok(performance.now() - started >= 1000);
  });
});

test('a file that changes counts from the next pull on', async () => {
  await using scratch = await scratchDirectory();
  await using one = await registry();
  await using two = await registry();
  const file = join(scratch.path, '_default', 'hosts.toml');
  mkdirSync(join(scratch.path, '_default'));
  await withRegistries(
    async (registries) => {
      for (const server of [one, two]) {
        writeFileSync(file, `server = "http://${server.host}"`);
        await registries.repository(example, undefined).manifest('x', signal);
        assert.notEqual(server.log.length, 0);
      }
    },
    { configDirs: [scratch.path] },
  );
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
