import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { RegistryAuth } from '../../src/image/auth.ts';
import { parseReference } from '../../src/image/reference.ts';
import { Registries } from '../../src/image/registry.ts';
import { type CertificateFiles, makeSigner } from '../helpers/certificates.ts';
import { proxy } from '../helpers/http-server.ts';
import { makeBusyboxLayout, pushLayout, scratchDirectory } from '../helpers/image-fixture.ts';
import { startRegistry } from '../helpers/registry.ts';
import { startTokenServer } from '../helpers/token-server.ts';

const signal = new AbortController().signal;
/** "puller" with the password "s3cret". */
const HTPASSWD = 'puller:$2y$05$EmUu26dHd/14we9Rx9lQfuAh3enLiCpcyEWNsg6vkHDSLOPPUHYn.';
const USER = { username: 'puller', password: 's3cret' };

let scratch: Awaited<ReturnType<typeof scratchDirectory>>;
let storage: string;
let signer: CertificateFiles;
let digest: string;

before(async () => {
  scratch = await scratchDirectory();
  storage = join(scratch.path, 'registry');
  signer = makeSigner(scratch.path);
  const layout = join(scratch.path, 'layout');
  digest = makeBusyboxLayout(layout).manifestDigest;
  await using registry = await startRegistry(storage);
  await pushLayout(registry.url, layout, 'team/busybox', 'latest');
});

after(async () => {
  await scratch?.[Symbol.asyncDispose]();
});

async function withRegistries<T>(work: (registries: Registries) => Promise<T>): Promise<T> {
  const registries = new Registries({ configDirs: [], progressTimeoutMs: 30_000 });
  try {
    return await work(registries);
  } finally {
    await registries.close();
  }
}

async function pull(host: string, auth?: RegistryAuth): Promise<string> {
  return withRegistries(async (registries) => {
    const repository = registries.repository(parseReference(`${host}/team/busybox`), auth);
    const manifest = await repository.manifest('latest', signal);
    const { config } = JSON.parse(manifest.bytes.toString());
    const { chunks } = await repository.blob(config.digest, 0, signal);
    let size = 0;
    for await (const chunk of chunks) size += chunk.length;
    assert.equal(size, config.size);
    return manifest.digest;
  });
}

test('user and password open a registry with htpasswd', async () => {
  await using registry = await startRegistry(storage, { htpasswd: HTPASSWD });
  assert.equal(await pull(registry.host, USER), digest);
  assert.equal(await pull(registry.host, { ...USER, serverAddress: registry.host }), digest);
  const auth = Buffer.from('puller:s3cret').toString('base64');
  assert.equal(await pull(registry.host, { auth }), digest);
  const denied: [auth: RegistryAuth | undefined, message: RegExp][] = [
    [undefined, /none were given/],
    [{ username: 'puller', password: 'wrong' }, /HTTP 401|does not accept/],
    [{ ...USER, serverAddress: 'quay.io' }, /none were given/],
  ];
  for (const [given, message] of denied) {
    await assert.rejects(pull(registry.host, given), {
      kind: 'FailedPrecondition',
      reason: 'AuthorizationFailed',
      message,
    });
  }
});

test('a token server gives tokens to anybody, to a user, or for an identity token', async () => {
  const cases: [server: object, auth: RegistryAuth | undefined, wrong: RegistryAuth | undefined][] =
    [
      [{}, undefined, { registryToken: 'nonsense' }],
      [{ user: 'puller:s3cret' }, USER, undefined],
      [{ refreshToken: 'R', user: 'x:y' }, { identityToken: 'R' }, { identityToken: 'S' }],
    ];
  for (const [options, auth, wrong] of cases) {
    await using tokens = await startTokenServer({ signer, ...options });
    const token = { ...tokens, cert: signer.cert };
    await using registry = await startRegistry(storage, { token });
    assert.equal(await pull(registry.host, auth), digest);
    assert.equal(tokens.log.length, 1, 'one token does for the whole pull');
    await assert.rejects(pull(registry.host, wrong), { reason: 'AuthorizationFailed' });
  }
});

test('a token that ends in the middle of a pull is replaced', async () => {
  await using tokens = await startTokenServer({ signer, lifetime: 1 });
  await using registry = await startRegistry(storage, { token: { ...tokens, cert: signer.cert } });
  let denials = 0;
  await using front = await proxy({
    to: registry.host,
    instead: (request, response) => {
      // As if the registry's clock were ahead: it takes no token that it has seen before.
      if (!request.url?.includes('/blobs/') || denials > 0) return false;
      denials += 1;
      response
        .writeHead(401, {
          'www-authenticate': `Bearer realm="${tokens.realm}",service="${tokens.service}",scope="repository:team/busybox:pull"`,
        })
        .end();
      return true;
    },
  });
  assert.equal(await pull(front.host), digest);
  assert.equal(denials, 1);
  assert.ok(tokens.log.length >= 2);
});
