import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { parseReference } from '../../src/image/reference.ts';
import { Registries } from '../../src/image/registry.ts';
import { makeCa, type TestCa } from '../helpers/certificates.ts';
import { makeBusyboxLayout, pushLayout, scratchDirectory } from '../helpers/image-fixture.ts';
import { freePort, startRegistry } from '../helpers/registry.ts';

const signal = new AbortController().signal;
let scratch: Awaited<ReturnType<typeof scratchDirectory>>;
let storage: string;
let ca: TestCa;
let server: { cert: string; key: string };
let digest: string;

/** The images that the registries of these tests have, all over one directory. */
const NAMES = ['library/busybox', 'pause', 'busybox'];

before(async () => {
  scratch = await scratchDirectory();
  storage = join(scratch.path, 'registry');
  ca = makeCa(join(scratch.path, 'ca'));
  server = ca.issue('server');
  const layout = join(scratch.path, 'layout');
  digest = makeBusyboxLayout(layout).manifestDigest;
  await using registry = await startRegistry(storage);
  for (const name of NAMES) await pushLayout(registry.url, layout, name, '3.10');
});

after(async () => {
  await scratch?.[Symbol.asyncDispose]();
});

let made = 0;

/** A directory of configurations with `toml` for a registry. */
function configure(registry: string, toml: string): string {
  made += 1;
  const root = join(scratch.path, `certs.d-${made}`);
  mkdirSync(join(root, registry), { recursive: true });
  writeFileSync(join(root, registry, 'hosts.toml'), toml);
  return root;
}

/** Fetches the manifest and all its blobs; returns the manifest's digest. */
async function pull(name: string, configDir: string): Promise<string> {
  const registries = new Registries({ configDirs: [configDir], progressTimeoutMs: 30_000 });
  try {
    const repository = registries.repository(parseReference(name), undefined);
    const manifest = await repository.manifest('3.10', signal);
    const { config, layers } = JSON.parse(manifest.bytes.toString());
    for (const blob of [config, ...layers]) {
      let size = 0;
      const { chunks } = await repository.blob(blob.digest, 0, signal);
      for await (const chunk of chunks) size += chunk.length;
      assert.equal(size, blob.size);
    }
    return manifest.digest;
  } finally {
    await registries.close();
  }
}

test('a registry with a certificate of a CA of its own is trusted as its file says', async () => {
  await using registry = await startRegistry(storage, { tls: server });
  const name = `${registry.host}/busybox`;
  const clear = configure(registry.host, `server = "https://${registry.host}"`);
  await assert.rejects(pull(name, clear), {
    kind: 'FailedPrecondition',
    message: new RegExp(`certificate is not trusted.*CA into ${clear}/${registry.host}/hosts.toml`),
  });
  for (const toml of [
    `ca = ${JSON.stringify(ca.cert)}`,
    `ca = [${JSON.stringify(ca.cert)}]`,
    'skip_verify = true',
    `server = "https://${registry.host}"\nskip_verify = true`,
  ]) {
    assert.equal(await pull(name, configure(registry.host, toml)), digest);
  }
  const other = makeCa(join(scratch.path, 'other-ca'));
  const wrong = configure(registry.host, `ca = ${JSON.stringify(other.cert)}`);
  await assert.rejects(pull(name, wrong), { message: /not trusted/ });
});

test('plain HTTP where TLS is, and TLS where it is not, are told apart', async () => {
  await using secure = await startRegistry(join(scratch.path, 'empty'), { tls: server });
  await using plain = await startRegistry(storage);
  const https = configure(plain.host, `server = "https://${plain.host}"`);
  await assert.rejects(pull(`${plain.host}/busybox`, https), {
    kind: 'FailedPrecondition',
    message: /does not speak TLS/,
  });
  const http = configure(secure.host, `server = "http://${secure.host}"`);
  await assert.rejects(pull(`${secure.host}/busybox`, http), { message: /HTTP 400/ });
});

test('a registry that wants certificates of its clients gets the one that is configured', async () => {
  const client = ca.issue('client');
  const tls = { ...server, clientCa: ca.cert };
  await using registry = await startRegistry(storage, { tls });
  const name = `${registry.host}/busybox`;
  const trust = `ca = ${JSON.stringify(ca.cert)}`;
  await assert.rejects(pull(name, configure(registry.host, trust)), {
    kind: 'FailedPrecondition',
    message: /wants a certificate of its clients/,
  });
  const pair = `client = [[${JSON.stringify(client.cert)}, ${JSON.stringify(client.key)}]]`;
  assert.equal(await pull(name, configure(registry.host, `${trust}\n${pair}`)), digest);
});

test('images of registries out of reach come from the mirror that is configured', async () => {
  await using registry = await startRegistry(storage);
  const cases: [registry: string, image: string][] = [
    ['docker.io', 'busybox:3.10'],
    ['registry.k8s.io', 'registry.k8s.io/pause:3.10'],
    ['_default', 'registry.invalid:5000/busybox:3.10'],
  ];
  for (const [namespace, image] of cases) {
    const mirror = configure(namespace, `[host."${registry.url}"]`);
    assert.equal(await pull(image, mirror), digest);
    // Without it, the origin is asked, and nothing here leads to it.
    await assert.rejects(pull(image, configure('nobody', '')), {
      kind: 'Unavailable',
      reason: 'RegistryUnavailable',
    });
  }
});

test('a mirror that is down, or not to be trusted, hands on to the server', async () => {
  await using registry = await startRegistry(storage);
  await using untrusted = await startRegistry(join(scratch.path, 'empty'), { tls: server });
  for (const mirror of [`http://127.0.0.1:${await freePort()}`, untrusted.url]) {
    const toml = `server = "${registry.url}"\n[host."${mirror}"]`;
    assert.equal(await pull('docker.io/library/busybox', configure('docker.io', toml)), digest);
  }
  // The mirror is first where it serves: the server here does not.
  const toml = `server = "http://127.0.0.1:1"\n[host."${registry.url}"]`;
  assert.equal(await pull('docker.io/library/busybox', configure('docker.io', toml)), digest);
});

test('a proxy leads to registries, with the same trust, but not to loopback', async () => {
  await using secure = await startRegistry(storage, { tls: server });
  await using plain = await startRegistry(storage);
  const tunnels: string[] = [];
  const proxy = createServer().on('connect', (request, socket) => {
    tunnels.push(String(request.url));
    const [, port] = secure.host.split(':');
    const onward = connect(Number(port), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      onward.pipe(socket).pipe(onward);
    });
    onward.on('error', () => socket.destroy());
    socket.on('error', () => onward.destroy());
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  process.env.https_proxy = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  try {
    const trusting = configure('registry.test', `ca = ${JSON.stringify(ca.cert)}`);
    assert.equal(await pull('registry.test/busybox', trusting), digest);
    assert.equal(tunnels[0], 'registry.test:443');
    await assert.rejects(pull('registry.test/busybox', configure('registry.test', '')), {
      kind: 'FailedPrecondition',
      message: /not trusted/,
    });
    const before = tunnels.length;
    assert.equal(await pull(`${plain.host}/busybox`, trusting), digest);
    assert.equal(tunnels.length, before);
  } finally {
    delete process.env.https_proxy;
    proxy.closeAllConnections();
    proxy.close();
  }
});
