import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { defaultRoot, findHosts } from '../../src/image/hosts.ts';
import { parseDuration, parseHostsFile } from '../../src/image/hosts-file.ts';
import { makeCa } from '../helpers/certificates.ts';
import { scratchDirectory } from '../helpers/image-fixture.ts';

const FILE = '/etc/c/certs.d/quay.io/hosts.toml';

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

test('the hosts of a file come in its order, then the server', () => {
  const { mirrors, server } = parseHostsFile(
    `
server = "https://registry-1.docker.io"
capabilities = ["pull"]
ca = "up.pem"

[host."https://z.example"]
  capabilities = ["pull"]
  ca = ["a.pem", "/b.pem"]
  client = [["c.cert", "c.key"], ["d.pem", ""], "e.pem"]
  dial_timeout = "1m1.5s"
  [host."https://z.example".header]
    X-One = "1"
    x-two = ["2", "3"]
[host."http://a.example:5000/cache/"]
  skip_verify = true
[host."m.example/v2/up"]
  override_path = true
  client = "f.pem"
`,
    FILE,
  );
  assert.deepEqual(
    mirrors.map((mirror) => mirror.root?.href),
    ['https://z.example/v2/', 'http://a.example:5000/cache/v2/', 'https://m.example/v2/up/'],
  );
  const [first, second, third] = mirrors;
  assert.deepEqual(first, {
    root: new URL('https://z.example/v2/'),
    pull: true,
    resolve: false,
    tls: {
      ca: ['/etc/c/certs.d/quay.io/a.pem', '/b.pem'],
      client: [
        { cert: '/etc/c/certs.d/quay.io/c.cert', key: '/etc/c/certs.d/quay.io/c.key' },
        { cert: '/etc/c/certs.d/quay.io/d.pem', key: undefined },
        { cert: '/etc/c/certs.d/quay.io/e.pem', key: undefined },
      ],
      skipVerify: false,
    },
    headers: { 'x-one': '1', 'x-two': ['2', '3'] },
    dialTimeoutMs: 61_500,
  });
  assert.equal(second?.tls.skipVerify, true);
  assert.deepEqual([second?.pull, second?.resolve, second?.dialTimeoutMs], [true, true, 30_000]);
  assert.equal(third?.tls.client[0]?.cert, '/etc/c/certs.d/quay.io/f.pem');
  assert.equal(server.root?.href, 'https://registry-1.docker.io/v2/');
  assert.deepEqual([server.pull, server.resolve], [true, false]);
  assert.deepEqual(server.tls.ca, ['/etc/c/certs.d/quay.io/up.pem']);
});

test('a root gets /v2 where it has none, and docker.io the host that it stands for', () => {
  const cases: [server: string, root: string][] = [
    ['https://a', 'https://a/v2/'],
    ['a:5000', 'https://a:5000/v2/'],
    ['http://a/', 'http://a/v2/'],
    ['https://a/v2', 'https://a/v2/'],
    ['https://a/x/../y', 'https://a/y/v2/'],
    ['https://docker.io', 'https://registry-1.docker.io/v2/'],
  ];
  for (const [server, root] of cases) {
    assert.equal(parseHostsFile(`server = "${server}"`, FILE).server.root?.href, root);
  }
  assert.equal(parseHostsFile('skip_verify = true', FILE).server.root, undefined);
});

test('a bad file is refused with its name, the key and the value', () => {
  const cases: [text: string, message: RegExp][] = [
    ['a = 1\nserver = ', /hosts\.toml:2: .*invalid value$/],
    ['server = 1', /hosts\.toml: server: 1 must be a URL/],
    ['server = "ftp://a"', /hosts\.toml: server: "ftp:\/\/a" must be http/],
    ['server = "https://a?x=1"', /server: .* at most a path/],
    ['server = "https://u:hunter2@a"', /server: the URL of a has credentials/],
    ['[host."https://["]', /host: "https:\/\/\[" is no URL/],
    ['skip-verify = true', /hosts\.toml: skip-verify: .* is not known here/],
    ['skip_verify = "yes"', /skip_verify: "yes" must be true or false/],
    ['capabilities = ["pull", "steal"]', /capabilities\.1: "steal" is not "pull"/],
    ['ca = 1', /ca: 1 must be a path/],
    ['client = [["a","b","c"]]', /client: .* must be a path/],
    ['dial_timeout = "soon"', /dial_timeout: "soon" must be a duration/],
    ['dial_timeout = 5', /dial_timeout: 5 must be a duration/],
    ['[host."https://m"]\nca = true', /host\."https:\/\/m"\.ca: true must be/],
    ['[host."https://m"]\n[host."https://m".host."https://n"]', /host: .* is not known here/],
    ['[header]\nx = "a\\nhunter2"', /header\.x: its value must be of one line/],
  ];
  for (const [text, message] of cases) {
    assert.throws(
      () => parseHostsFile(text, FILE),
      (error: Error & { kind?: string }) => {
        assert.equal(error.kind, 'FailedPrecondition', text);
        assert.match(error.message, message);
        assert.match(error.message, /^\/etc\/c\/certs\.d\/quay\.io\/hosts\.toml:/);
        assert.doesNotMatch(error.message, /hunter2/);
        return true;
      },
    );
  }
});

test("durations are Go's", () => {
  const cases: [text: string, ms: number | undefined][] = [
    ['1s', 1000],
    ['500ms', 500],
    ['1m30s', 90_000],
    ['1.5h', 5_400_000],
    ['.5s', 500],
    ['', undefined],
    ['5', undefined],
    ['1s1', undefined],
    ['-1s', undefined],
  ];
  for (const [text, ms] of cases) assert.equal(parseDuration(text), ms, text);
});

test('loopback registries speak plain HTTP unless told otherwise, others TLS', () => {
  const tls = { ca: ['ca.pem'], client: [], skipVerify: false };
  assert.equal(defaultRoot('docker.io').href, 'https://registry-1.docker.io/v2/');
  assert.equal(defaultRoot('quay.io:8443').href, 'https://quay.io:8443/v2/');
  assert.equal(defaultRoot('localhost:5000').href, 'http://localhost:5000/v2/');
  assert.equal(defaultRoot('127.8.9.1:5000').href, 'http://127.8.9.1:5000/v2/');
  assert.equal(defaultRoot('[::1]:5000').href, 'http://[::1]:5000/v2/');
  assert.equal(defaultRoot('127.0.0.1.evil.io').protocol, 'https:');
  assert.equal(defaultRoot('127.0.0.1:443').protocol, 'https:');
  assert.equal(defaultRoot('127.0.0.1:5000', tls).protocol, 'https:');
});

test('the first directory that a registry has counts; _default is for the others', async () => {
  await using scratch = await scratchDirectory();
  const [one, two] = [join(scratch.path, 'one'), join(scratch.path, 'two')];
  const found = async (registry: string) =>
    (await findHosts([one, two], registry)).map((host) => host.root.href);
  assert.deepEqual(await found('quay.io'), ['https://quay.io/v2/']);
  write(join(two, 'quay.io/hosts.toml'), '[host."http://m"]');
  assert.deepEqual(await found('quay.io'), ['http://m/v2/', 'https://quay.io/v2/']);
  write(join(two, 'a.io:5000/hosts.toml'), 'server = "http://colon"');
  assert.deepEqual(await found('a.io:5000'), ['http://colon/v2/']);
  write(join(two, 'a.io_5000_/hosts.toml'), 'server = "http://underscore"');
  assert.deepEqual(await found('a.io:5000'), ['http://underscore/v2/']);
  write(join(one, '_default/hosts.toml'), '[host."http://d"]');
  assert.deepEqual(await found('gcr.io'), ['http://d/v2/', 'https://gcr.io/v2/']);
  assert.deepEqual(await found('quay.io'), ['http://d/v2/', 'https://quay.io/v2/']);
  assert.equal((await findHosts([one], 'gcr.io'))[1]?.hostsFile, join(one, '_default/hosts.toml'));
  write(join(one, 'file'), '');
  await assert.rejects(findHosts([join(one, 'file')], 'x.io'), {
    kind: 'FailedPrecondition',
    message: /one\/file\/x\.io cannot be read: ENOTDIR/,
  });
});

test('hosts other than the registry are told its name', async () => {
  await using scratch = await scratchDirectory();
  const at = (name: string) => join(scratch.path, name, 'hosts.toml');
  const proxies = async (registry: string) =>
    (await findHosts([scratch.path], registry)).map((host) => host.proxy);
  write(at('docker.io'), '[host."https://m"]\n[host."https://registry-1.docker.io"]');
  assert.deepEqual(await proxies('docker.io'), [true, false, false]);
  write(at('a.io'), 'server = "https://b.io"\n[host."http://a.io"]');
  assert.deepEqual(await proxies('a.io'), [false, true]);
});

test('certificates are read as Docker names them, and from a file that names them', async () => {
  await using scratch = await scratchDirectory();
  const ca = makeCa(join(scratch.path, 'made'));
  const client = ca.issue('client');
  const text = (path: string) => readFileSync(path, 'utf8');
  const directory = join(scratch.path, 'certs.d', 'quay.io');
  write(join(directory, 'x.crt'), text(ca.cert));
  write(join(directory, 'client.cert'), text(client.cert));
  write(join(directory, 'client.key'), text(client.key));
  write(join(directory, 'both.cert'), text(client.cert) + text(client.key));
  const find = () => findHosts([join(scratch.path, 'certs.d')], 'quay.io');
  const [host] = await find();
  assert.deepEqual(host?.tls.ca, [text(ca.cert)]);
  assert.equal(host?.tls.client.length, 2);
  assert.equal(host?.tls.client[1]?.key, text(client.key));

  const bad: [toml: string, message: RegExp][] = [
    ['ca = "none.crt"', /hosts\.toml: ca: ".*\/quay\.io\/none\.crt" cannot be read: ENOENT/],
    ['ca = "client.key"', /hosts\.toml: ca: ".*client\.key" has no certificate/],
    ['client = "client.cert"', /hosts\.toml: client: ".*client\.cert" has no private key/],
    [
      `client = [["client.cert", ${JSON.stringify(ca.key)}]]`,
      /hosts\.toml: client: ".*ca\.key" is not the key of .*client\.cert/,
    ],
  ];
  for (const [toml, message] of bad) {
    write(join(directory, 'hosts.toml'), toml);
    await assert.rejects(find(), { kind: 'FailedPrecondition', message });
  }
});
