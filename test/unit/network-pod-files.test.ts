import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { hostResolvConf } from '../../src/network/host-resolv-conf.ts';
import {
  hostnameFile,
  hostsFile,
  namesOnlyLoopback,
  resolvConf,
} from '../../src/network/pod-files.ts';
import type { DnsConfig } from '../../src/spec/config.ts';

const none: DnsConfig = { servers: [], searches: [], options: [] };

test('resolv.conf comes from the pod configuration where there is one', () => {
  const table: [dns: Partial<DnsConfig>, text: string][] = [
    [{ servers: ['10.96.0.10'] }, 'nameserver 10.96.0.10\n'],
    [{ searches: ['a.local', 'b.local'] }, 'search a.local b.local\n'],
    [{ options: ['ndots:5'] }, 'options ndots:5\n'],
    [{ servers: ['fe80::1%eth0'] }, 'nameserver fe80::1%eth0\n'],
  ];
  const full = {
    servers: ['10.96.0.10', 'fd00::10'],
    searches: ['ns.svc.cluster.local', 'cluster.local'],
    options: ['ndots:5', 'edns0'],
  };
  for (const [dns, text] of table) {
    assert.equal(resolvConf({ ...none, ...dns }, 'nameserver 192.0.2.1\n'), text);
  }
  assert.equal(
    resolvConf(full, ''),
    'search ns.svc.cluster.local cluster.local\nnameserver 10.96.0.10\nnameserver fd00::10\noptions ndots:5 edns0\n',
  );
});

test('without one it is the host file, less the servers that a pod cannot reach', () => {
  const host =
    '# by hand\nsearch lan\nnameserver 127.0.0.53\nnameserver ::1\n nameserver 127.1.2.3\nnameserver 192.0.2.1\noptions edns0\n';
  const pod = '# by hand\nsearch lan\nnameserver 192.0.2.1\noptions edns0\n';
  assert.equal(resolvConf(undefined, host), pod);
  assert.equal(resolvConf(none, host), pod);
  assert.equal(resolvConf(none, host, { hostNetwork: true }), host);
  assert.equal(resolvConf(undefined, ''), '');
});

test('a wrong DNS configuration is refused by field', () => {
  const table: [dns: Partial<DnsConfig>, message: RegExp][] = [
    [{ servers: ['dns.example'] }, /^dns_config\.servers: "dns\.example" is not an IP address$/],
    [{ servers: ['10.0.0.1\nnameserver 10.0.0.2'] }, /^dns_config\.servers/],
    [{ servers: ['10.0.0.1%eth0'] }, /^dns_config\.servers/],
    [{ servers: ['fe80::1%a b'] }, /^dns_config\.servers/],
    [{ servers: ['fe80::1%a%b'] }, /^dns_config\.servers/],
    [{ servers: ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4'] }, /more than 3 servers$/],
    [{ searches: ['a b'] }, /^dns_config\.searches: "a b" is not one printable word$/],
    [{ searches: [''] }, /^dns_config\.searches/],
    [{ searches: Array(33).fill('a') }, /more than 32 domains or 2048 bytes$/],
    [{ searches: ['a'.repeat(2049)] }, /more than 32 domains or 2048 bytes$/],
    [{ options: ['ndots:5\nnameserver 1.1.1.1'] }, /^dns_config\.options/],
  ];
  for (const [dns, message] of table) {
    assert.throws(() => resolvConf({ ...none, ...dns }, ''), { kind: 'InvalidArgument', message });
  }
});

test('a resolv.conf that names only loopback servers is recognised', () => {
  assert.ok(namesOnlyLoopback('nameserver 127.0.0.53\noptions edns0\n'));
  assert.ok(!namesOnlyLoopback('nameserver 127.0.0.53\nnameserver 192.0.2.1\n'));
  assert.ok(!namesOnlyLoopback('#nameserver 127.0.0.53\n'));
  assert.ok(!namesOnlyLoopback(''));
});

test('hosts has localhost in both families and a line for each address', () => {
  assert.equal(
    hostsFile({ ips: ['10.88.0.5', 'fd00::5'], hostname: 'web-1' }),
    '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n10.88.0.5\tweb-1\nfd00::5\tweb-1\n',
  );
  assert.ok(!hostsFile({ ips: [], hostname: 'web-1' }).includes('web-1'));
});

test('hostname is one line, and a name that would break a file is refused', () => {
  assert.equal(hostnameFile('web-1.example'), 'web-1.example\n');
  assert.equal(hostnameFile('a'.repeat(64)).length, 65);
  for (const bad of ['', 'a'.repeat(65), 'a b', 'a\nb', '-a', 'a-', '.a', 'ä']) {
    assert.throws(() => hostnameFile(bad), { kind: 'InvalidArgument' }, JSON.stringify(bad));
    assert.throws(() => hostsFile({ ips: [], hostname: bad }), { kind: 'InvalidArgument' });
  }
});

test('a stub resolver on the host is looked behind', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'coracle-resolv-'));
  t.after(() => rm(dir, { recursive: true }));
  const [plain, stub, behind] = ['plain', 'stub', 'behind'].map((name) => join(dir, name));
  assert.ok(plain && stub && behind);
  await writeFile(plain, 'nameserver 192.0.2.1\n');
  await writeFile(stub, 'nameserver 127.0.0.53\n');
  await writeFile(behind, 'nameserver 192.0.2.2\n');
  assert.equal(await hostResolvConf(plain, behind), 'nameserver 192.0.2.1\n');
  assert.equal(await hostResolvConf(stub, behind), 'nameserver 192.0.2.2\n');
  assert.equal(await hostResolvConf(stub, join(dir, 'missing')), 'nameserver 127.0.0.53\n');
  assert.equal(await hostResolvConf(join(dir, 'missing'), behind), '');
});
