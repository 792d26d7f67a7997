import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Digest } from '../../src/image/digest.ts';
import { openImages } from '../../src/image/open-images.ts';
import { parseReference } from '../../src/image/reference.ts';
import { Registries, type Repository } from '../../src/image/registry.ts';
import { retry } from '../../src/image/retry.ts';
import { addon } from '../../src/native/addon.ts';
import { openStore } from '../../src/store/open.ts';
import { proxy } from '../helpers/http-server.ts';
import { makeTar, pushLayout, scratchDirectory, writeLayout } from '../helpers/image-fixture.ts';
import { freePort, startRegistry } from '../helpers/registry.ts';

const signal = new AbortController().signal;
/** Of the layer as the registry has it; noise does not get smaller by being packed. */
let digest: Digest;
let length: number;
let path: string;
let scratch: Awaited<ReturnType<typeof scratchDirectory>>;
let storage: string;

before(async () => {
  scratch = await scratchDirectory();
  storage = join(scratch.path, 'registry');
  const layout = join(scratch.path, 'layout');
  const { layerDigests } = writeLayout(layout, {
    name: 'big',
    layers: [makeTar([{ name: 'noise', data: randomBytes(8 << 20) }])],
  });
  digest = layerDigests[0] as Digest;
  path = `/v2/big/blobs/${digest}`;
  length = (await stat(join(layout, 'blobs', digest.replace(':', '/')))).size;
  await using registry = await startRegistry(storage);
  for (const name of ['big', 'team/big']) await pushLayout(registry.url, layout, name, 'latest');
});

after(async () => {
  await scratch?.[Symbol.asyncDispose]();
});

async function withRepository<T>(
  host: string,
  work: (repository: Repository) => Promise<T>,
  progressTimeoutMs = 30_000,
): Promise<T> {
  const registries = new Registries({ configDirs: [], progressTimeoutMs });
  try {
    return await work(registries.repository(parseReference(`${host}/big`), undefined));
  } finally {
    await registries.close();
  }
}

/** Fetches the layer as a pull does, going on where it was; returns how often it was asked for. */
async function fetch(repository: Repository, onBytes: (total: number) => void = () => {}) {
  let hash = createHash('sha256');
  let [offset, seen, attempts] = [0, 0, 0];
  await retry(
    signal,
    async () => {
      attempts += 1;
      const blob = await repository.blob(digest, offset, signal);
      if (blob.offset === 0) {
        hash = createHash('sha256');
        offset = 0;
      }
      for await (const chunk of blob.chunks) {
        hash.update(chunk);
        offset += chunk.length;
        onBytes(offset);
      }
    },
    {
      progressed: () => {
        const more = offset > seen;
        seen = offset;
        return more;
      },
    },
  );
  assert.equal(`sha256:${hash.digest('hex')}`, digest);
  return attempts;
}

test('a registry that is killed and started again in the middle of a blob goes on', async () => {
  const port = await freePort();
  let registry = await startRegistry(storage, { port });
  await using front = await proxy({ to: `127.0.0.1:${port}`, onBody: () => sleep(2) });
  const restarted: Promise<void>[] = [];
  try {
    await withRepository(front.host, async (repository) => {
      const attempts = await fetch(repository, (total) => {
        if (total < 2 << 20 || restarted.length > 0) return;
        restarted.push(
          registry
            .kill()
            .then(() => sleep(1500))
            .then(() => startRegistry(storage, { port }))
            .then((again) => {
              registry = again;
            }),
        );
      });
      assert.ok(attempts > 1);
    });
  } finally {
    await Promise.all(restarted);
    await registry[Symbol.asyncDispose]();
  }
});

test('a registry whose connection is refused for a while is waited for', async () => {
  const port = await freePort();
  await withRepository(`127.0.0.1:${port}`, async (repository) => {
    const manifest = repository.manifest('latest', signal);
    manifest.catch(() => undefined);
    await sleep(600);
    await using registry = await startRegistry(storage, { port });
    assert.equal((await manifest).bytes.length > 0, true);
    await fetch(repository);
    assert.ok(registry.host);
  });
});

test('what has come before a cut is not fetched again', async () => {
  await using registry = await startRegistry(storage);
  const cuts = [1 << 20, 3 << 20, 6 << 20];
  let passed = 0;
  await using front = await proxy({
    to: registry.host,
    onBody: (request, response, piece) => {
      if (request.url !== path) return undefined;
      passed += piece.length;
      if (passed < (cuts[0] ?? Number.POSITIVE_INFINITY)) return undefined;
      cuts.shift();
      response.destroy();
      return undefined;
    },
  });
  await withRepository(front.host, async (repository) => {
    assert.equal(await fetch(repository), 4);
  });
  const sent = front.sent.get(path) ?? 0;
  // What was on its way when the connection broke is lost, and no more than that.
  assert.ok(sent >= length && sent < length + (3 << 20), `${sent} bytes were sent`);
});

test('a blob that stalls is asked for again, one that never comes is given up', async () => {
  await using registry = await startRegistry(storage);
  let stalls = 1;
  await using front = await proxy({
    to: registry.host,
    onBody: (request, response) => {
      if (request.url !== path || stalls <= 0) return undefined;
      if (front.sent.get(path) === undefined) return undefined;
      stalls -= 1;
      return new Promise((resolve) => response.once('close', () => resolve()));
    },
  });
  await withRepository(
    front.host,
    async (repository) => {
      assert.equal(await fetch(repository), 2);
      stalls = Number.POSITIVE_INFINITY;
      const started = performance.now();
      await assert.rejects(fetch(repository), {
        kind: 'Unavailable',
        reason: 'RegistryUnavailable',
        message: /sent no byte for 1 s/,
      });
      assert.ok(performance.now() - started < 10_000);
    },
    1000,
  );
});

test('a registry that counts requests is come back to when it says', async () => {
  await using registry = await startRegistry(storage);
  let refusals = 2;
  await using front = await proxy({
    to: registry.host,
    instead: (_, response) => {
      if (refusals-- <= 0) return false;
      const body = '{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}';
      response.writeHead(429, { 'retry-after': '1' }).end(body);
      return true;
    },
  });
  await withRepository(front.host, async (repository) => {
    const started = performance.now();
    await repository.manifest('latest', signal);
    assert.ok(performance.now() - started >= 2000);
  });
});

test('a storage that a registry redirects to sees no credentials, and goes on in the middle', async () => {
  await using registry = await startRegistry(storage);
  await using other = await proxy({ to: registry.host });
  await using front = await proxy({
    to: registry.host,
    instead: (request, response) => {
      if (!request.headers.authorization) {
        response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end();
        return true;
      }
      if (!request.url?.includes('/blobs/')) return false;
      const location = `http://${other.host}${request.url}?X-Amz-Signature=secret`;
      response.writeHead(307, { location }).end();
      return true;
    },
  });
  const registries = new Registries({ configDirs: [], progressTimeoutMs: 30_000 });
  try {
    const auth = { username: 'u', password: 'p' };
    const repository = registries.repository(parseReference(`${front.host}/big`), auth);
    const { offset, chunks } = await repository.blob(digest, 8_000_000, signal);
    let size = 0;
    for await (const chunk of chunks) size += chunk.length;
    assert.deepEqual([offset, size], [8_000_000, length - 8_000_000]);
    assert.deepEqual(other.log, [`GET ${path}?X-Amz-Signature=secret -`]);
  } finally {
    await registries.close();
  }
});

test('an image is pulled through a mirror that is killed and started again meanwhile', async () => {
  const port = await freePort();
  let registry = await startRegistry(storage, { port });
  await using front = await proxy({ to: `127.0.0.1:${port}`, onBody: () => sleep(2) });
  const certs = join(scratch.path, 'certs.d', 'docker.io');
  await mkdir(certs, { recursive: true });
  await writeFile(join(certs, 'hosts.toml'), `[host."http://${front.host}"]\n`);
  const root = join(scratch.path, 'root');
  const store = await openStore(root);
  const registryConfigDirs = [join(scratch.path, 'certs.d')];
  const images = await openImages({ root, store, native: addon, registryConfigDirs });
  const restarted: Promise<void>[] = [];
  try {
    const { imageRef } = await images.pull('docker.io/team/big', {
      onProgress: ({ bytesDone }) => {
        if (bytesDone < 2 << 20 || restarted.length > 0) return;
        restarted.push(
          registry
            .kill()
            .then(() => sleep(1000))
            .then(() => startRegistry(storage, { port }))
            .then((again) => {
              registry = again;
            }),
        );
      },
    });
    assert.equal(restarted.length, 1);
    assert.equal(
      (await stat(join(root, images.layersOf(imageRef)[0] ?? '', 'noise'))).size,
      8 << 20,
    );
    assert.deepEqual(images.status(imageRef)?.repoTags, ['docker.io/team/big:latest']);
    assert.ok(front.log.every((line) => line.includes('?ns=docker.io')));
    const sent = [...front.sent].find(([url]) => url.includes(digest))?.[1] ?? 0;
    assert.ok(sent < length + (3 << 20), `${sent} bytes were sent`);
  } finally {
    await images.close();
    await store.close();
    await Promise.all(restarted);
    await registry[Symbol.asyncDispose]();
  }
});
